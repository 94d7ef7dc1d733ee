"""Property tests take as long as the machine needs."""

from hypothesis import settings

settings.register_profile("ringfence", deadline=None)
settings.load_profile("ringfence")
