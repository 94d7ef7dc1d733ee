"""What is a Redis participant's alone, and each rule in its scripts switched off is found by the test that is named."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ringfence.testing.servers.redis import Redis
from ringfence.testing.switches.replaced import replaced
from ringfence.transactions.participants.redis import scripts

from .laws import Laws

SCRIPTS = ("PREPARE", "ONE_PHASE", "COMMIT", "ROLLBACK", "BEGIN", "RELEASE", "READ", "SETTLED", "SETTLE")

HELD = "return holder and {'held', key, holder}"
MINE = "if redis.call('GET', BRANCH) == gid then redis.call('DEL', BRANCH) end"

RULES = {
    "prepared work holds its keys": (
        (HELD, "return false"),
        "test_a_key_that_prepared_work_writes_is_refused_to_others",
    ),
    "a key that is held is not read": (
        ("if holder then return {'held', holder} end", ""),
        "test_a_key_that_prepared_work_writes_is_not_read_by_others",
    ),
    "a key that was read is not relied on when it is held": (
        ("local held = another_holds(command[2])\n", "local held = nil\n"),
        "test_a_key_that_was_read_before_is_not_relied_on_once_prepared_work_holds_it",
    ),
    "what was read is compared": (
        ("~= (there and value)", "== 0"),
        "test_a_key_that_was_changed_since_it_was_read_is_noticed",
    ),
    "what was read is held": (
        ("touched[key] = true", "touched[key] = nil"),
        "test_two_that_each_write_what_the_other_has_read_do_not_both_commit",
    ),
    "a command is looked at before the first is carried out": (
        ("return found and {'refused', found}", "return false"),
        "test_a_command_that_cannot_be_carried_out_is_found_before_the_first_one_is",
    ),
    "rights are looked at first": (
        ("return not redis.acl_check_cmd(unpack(command))", "return false"),
        "test_what_the_user_may_not_do_is_found_before_anything_is_done",
    ),
    "rights over the participant's own keys are looked at first": (
        ("obstacle(commands) or not_ours()", "obstacle(commands)"),
        "test_what_the_user_may_not_do_is_found_before_anything_is_done",
    ),
    "staged commands are looked at again": (
        ("if found then return {'otherwise', found .. ' now'} end", ""),
        "test_staged_work_that_cannot_be_carried_out_any_more_is_kept_and_told",
    ),
    "a prepare after the end is refused": (
        ("if done then return {'over', done} end", ""),
        "test_a_prepare_that_comes_after_the_rollback_is_refused",
    ),
    "a rollback is known for a while": (
        ("redis.call('SET', DONE, outcome, 'PX', ARGV[2])", ""),
        "test_a_prepare_that_comes_after_the_rollback_is_refused",
    ),
    "a second prepare is refused": (
        ("if redis.call('EXISTS', STAGE) == 1 then return {'over', 'prepared'} end", ""),
        "test_a_request_that_is_delivered_twice_changes_nothing_the_second_time",
    ),
    "what was carried out is staged no more": (
        ("  redis.call('DEL', STAGE)\n", ""),
        "test_a_request_that_is_delivered_twice_changes_nothing_the_second_time",
    ),
    "what was carried out is listed no more": (
        ("  redis.call('ZREM', PREPARED, gid)\n", ""),
        "test_nothing_is_left_of_a_transaction_that_is_over",
    ),
    "what was carried out holds no key": (
        ("do redis.call('HDEL', HELD, key) end", "do end"),
        "test_nothing_is_left_of_a_transaction_that_is_over",
    ),
    "a second one-phase commit is refused": (
        ("if redis.call('GETBIT', SETTLED, bit) == 1 then return {'over', 'committed'} end", ""),
        "test_a_one_phase_commit_that_is_delivered_twice_changes_nothing_the_second_time",
    ),
    "what was settled as aborted never commits": (
        ("if redis.call('GETBIT', SETTLED, bit + 1) == 1 then return {'over', 'aborted'} end", ""),
        "test_a_transaction_is_settled_once",
    ),
    "a one-phase commit is remembered": (
        ("redis.call('SETBIT', SETTLED, bit, 1)", ""),
        "test_a_transaction_is_settled_once",
    ),
    "what was committed is settled": (
        ("if redis.call('GETBIT', SETTLED, ARGV[2]) == 1 then return {'committed'} end", ""),
        "test_a_transaction_is_settled_once",
    ),
    "a commit looks for a rollback by hand": (
        ("if done == 'aborted' then", "if false then"),
        "test_what_was_ended_otherwise_by_hand_is_told",
    ),
    "a rollback looks for a commit by hand": (
        ("elseif redis.call('GET', DONE) == 'committed' then", "elseif false then"),
        "test_what_was_ended_otherwise_by_hand_is_told",
    ),
    "a commit looks for work that was removed": (
        (" or redis.call('ZSCORE', PREPARED, gid)", ""),
        "test_what_was_ended_otherwise_by_hand_is_told",
    ),
    "fences are compared": (
        ("if stale(mark, fences[i]) then", "if false then"),
        "test_a_newer_fence_refuses_an_older_one",
    ),
    "fences are compared as numbers": (
        ("#mark > #fence or (#mark == #fence and mark > fence)", "mark > fence"),
        "test_a_newer_fence_refuses_an_older_one",
    ),
    "the mark is raised": (
        ("redis.call('SET', KEYS[i], fence)", ""),
        "test_a_newer_fence_refuses_an_older_one",
    ),
    "a mark is not raised over prepared work": (
        ("if holder then return {'guarded', i - 7, holder} end", ""),
        "test_a_newer_fence_waits_for_prepared_work_of_an_older_one",
    ),
    "prepared work holds its marks": (
        ("do redis.call('ZADD', prepared(mark), 0, gid) end", "do end"),
        "test_a_newer_fence_waits_for_prepared_work_of_an_older_one",
    ),
    "what is over holds no mark": (
        ("do redis.call('ZREM', prepared(mark), gid) end", "do end"),
        "test_a_newer_fence_waits_for_prepared_work_of_an_older_one",
    ),
    "an equal fence is not held up": (
        ("stale(fences[i], mark) and redis.call('ZRANGE'", "redis.call('ZRANGE'"),
        "test_a_newer_fence_waits_for_prepared_work_of_an_older_one",
    ),
    "a commit looks for a promise that is lost": (
        ("ARGV[3] == '1' or ", ""),
        "test_work_that_was_promised_and_is_lost_is_told",
    ),
    "what was committed before is not lost": (
        ("promised and not done", "promised"),
        "test_a_commit_of_what_nobody_here_knows_is_late",
    ),
    "one branch at a time": (("if open and open ~= gid then", "if false then"), "test_one_branch_at_a_time"),
    "prepared work stands in the way": (
        ("if first then return", "if false then return"),
        "test_one_branch_at_a_time",
    ),
    "an ended branch ends its turn": (
        ("if alone then redis.call('DEL', BRANCH) end", ""),
        "test_one_branch_at_a_time",
    ),
    "a branch that is given up ends its turn": ((MINE, ""), "test_one_branch_at_a_time"),
    "it ends its own turn alone": (
        (MINE, "redis.call('DEL', BRANCH)"),
        "test_a_branch_that_was_given_up_ends_the_turn_of_no_other",
    ),
    "it is its turn when it is prepared": (
        ("return alone and redis.call('GET', BRANCH) ~= gid", "return false"),
        "test_a_branch_whose_turn_is_over_is_refused",
    ),
    "it is its turn when it reads": (
        ("if redis.call('GET', BRANCH) ~= gid then return {'lost'} end", ""),
        "test_a_branch_whose_turn_is_over_reads_nothing",
    ),
    "reading makes the turn last": (
        ("redis.call('PEXPIRE', BRANCH, ARGV[2])", ""),
        "test_reading_makes_the_turn_last",
    ),
    "a turn ends by itself": (
        ("redis.call('SET', BRANCH, gid, 'PX', ARGV[2])", "redis.call('SET', BRANCH, gid)"),
        "test_the_turn_of_a_client_that_died_ends_by_itself",
    ),
}
"""Rule: (text in the scripts, what stands there when it is off), the test that finds it."""

TESTS = sorted(name for name in dir(Laws) if name.startswith("test_"))


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with Redis() as started:
        yield started


@pytest.mark.servers
@pytest.mark.parametrize("test", TESTS)
def test_law(server: Redis, test: str) -> None:
    getattr(Laws(server), test)()


def fails(server: Redis, test: str) -> bool:
    run: Callable[[], None] = getattr(Laws(server), test)
    try:
        run()
    except Exception as error:
        if "compil" in str(error) or "attempt to" in str(error):
            raise  # it is no sound script any more
        return True
    return False


@contextmanager
def changed(old: str, new: str) -> Iterator[None]:
    """Replace text in the scripts."""
    found = False
    with ExitStack() as until:
        for name in SCRIPTS:
            script = getattr(scripts, name)
            found |= old in script.text
            until.enter_context(replaced(scripts, name, scripts.made(script.text.replace(old, new))))
        assert found, "the text is not there any more"
        yield


@pytest.mark.servers
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_switched_off_is_found(server: Redis, rule: str) -> None:
    change, test = RULES[rule]
    with changed(*change):
        assert fails(server, test), f"without the rule that {rule}, {test} passes"
