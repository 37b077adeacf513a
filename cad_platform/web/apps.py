from cad_platform.core.declarations import PlatformApp


class WebConfig(PlatformApp):
    name = "cad_platform.web"
    label = "web"
