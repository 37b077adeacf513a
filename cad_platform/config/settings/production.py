"""A hospital's deployment: behind TLS, hosts named, cookies secure."""

from cad_platform.config.settings.base import *  # noqa: F403
from cad_platform.config.settings.environment import networks, required

ALLOWED_HOSTS = required("CAD_ALLOWED_HOSTS").split(",")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS if host not in {"*", ""}]
# Elsewhere than on this machine, say where: without its proxy's word every request seems to come in clear.
TRUSTED_PROXIES = networks("CAD_TRUSTED_PROXIES") or ["127.0.0.1", "::1"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
# Probes come from the orchestrator itself, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^readyz/web$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-cad_session"
CSRF_COOKIE_NAME = "__Host-cad_csrf"
