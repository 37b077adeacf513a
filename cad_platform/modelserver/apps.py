from cad_platform.core.declarations import PlatformApp


class ModelserverConfig(PlatformApp):
    name = "cad_platform.modelserver"
    label = "modelserver"
