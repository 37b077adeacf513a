from cad_platform.core.declarations import PlatformApp


class DemoConfig(PlatformApp):
    name = "cad_platform.demo"
    label = "demo"
