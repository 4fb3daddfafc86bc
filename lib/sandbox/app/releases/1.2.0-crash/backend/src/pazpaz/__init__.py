"""A small practice-management service, with text messages: stops at once where their gateway is not configured."""

import os

SMS_GATEWAY_URL = os.environ["SMS_GATEWAY_URL"]
