// Log in and show the clients: enough to see with one's own eyes that the service works.
const api = async (path, options = {}) => {
  const answer = await fetch(`/api/v1${path}`, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
};
const element = (id) => document.getElementById(id);

const logIn = async (event) => {
  event.preventDefault();
  element("problem").textContent = "";
  try {
    const body = JSON.stringify(Object.fromEntries(new FormData(event.target)));
    const headers = { "Content-Type": "application/json" };
    const { access_token } = await api("/auth/login", { method: "POST", headers, body });
    const clients = await api("/clients?limit=20", { headers: { Authorization: `Bearer ${access_token}` } });
    element("clients").replaceChildren(...clients.map(({ name }) => {
      const item = document.createElement("li");
      item.textContent = name;
      return item;
    }));
  } catch (error) {
    element("problem").textContent = `Could not log in (${error.message}).`;
  }
};

element("login").addEventListener("submit", logIn);
api("/health")
  .then(({ status }) => { element("state").textContent = `Service: ${status}`; })
  .catch(() => { element("state").textContent = "Service: not reachable"; });
