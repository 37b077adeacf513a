from cad_platform.core.declarations import PlatformApp


class ApiConfig(PlatformApp):
    name = "cad_platform.api"
    label = "api"
