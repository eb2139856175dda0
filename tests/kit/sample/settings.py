from kit.settings import ServiceSettings


class Settings(ServiceSettings):
    service: str = "sample"
