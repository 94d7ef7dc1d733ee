"""What a transaction can come to, and what a participant can vote."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of a transaction: one of the first two for ever, or not known yet."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    IN_DOUBT = "in doubt"


class Vote(StrEnum):
    """A participant's answer to "prepare"; an exception is a vote against with its reason."""

    YES = "yes"
    READ_ONLY = "read only"
    NO = "no"
