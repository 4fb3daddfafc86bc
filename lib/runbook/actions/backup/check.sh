# See that the repository is whole.
restic unlock --quiet
restic check
