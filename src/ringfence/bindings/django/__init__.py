"""Django: `atomic` over several databases, which commits on all of them or on none, and recovers.

# settings.py: INSTALLED_APPS has "ringfence.bindings.django", and
RINGFENCE = {"DECISIONS": "sqlite:////var/lib/shop/decisions.db", "NAME": "web-1"}

with atomic("default", "other"):
    Account.objects.using("default").filter(pk=1).update(cents=F("cents") - 10)
    Account.objects.using("other").filter(pk=1).update(cents=F("cents") + 10)

`manage.py ringfence_recover` resolves what a process that died left prepared.
"""

try:
    import django as _django  # noqa: F401
except ImportError as error:
    from ringfence.errors import BackendUnavailable

    raise BackendUnavailable("this needs Django; install ringfence[django]") from error

from ringfence.bindings.django.blocks import atomic
from ringfence.bindings.django.configured import manager

__all__ = ["atomic", "manager"]
