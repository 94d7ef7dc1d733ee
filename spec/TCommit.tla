------------------------------ MODULE TCommit ------------------------------
(* What it is to commit a transaction, whatever the protocol: the resource managers of RM agree.             *)
(*                                                                                                           *)
(* The definition of Gray and Lamport, "Consensus on Transaction Commit", ACM TODS 31(1), 2006 (Microsoft    *)
(* Research MSR-TR-2003-96, 2004), section 2: each is working, prepared, committed or aborted; one may       *)
(* commit only when all are prepared or committed, and abort only while none is committed.                   *)

CONSTANT RM

VARIABLE rmState

TCTypeOK == rmState \in [RM -> {"working", "prepared", "committed", "aborted"}]

TCInit == rmState = [rm \in RM |-> "working"]

CanCommit == \A rm \in RM : rmState[rm] \in {"prepared", "committed"}

NotCommitted == \A rm \in RM : rmState[rm] # "committed"

Becomes(rm, state) == rmState' = [rmState EXCEPT ![rm] = state]

Prepare(rm) == rmState[rm] = "working" /\ Becomes(rm, "prepared")

Commit(rm) == rmState[rm] = "prepared" /\ CanCommit /\ Becomes(rm, "committed")

Abort(rm) == rmState[rm] \in {"working", "prepared"} /\ NotCommitted /\ Becomes(rm, "aborted")

TCNext == \E rm \in RM : Prepare(rm) \/ Commit(rm) \/ Abort(rm)

TCSpec == TCInit /\ [][TCNext]_rmState

TCConsistent == \A one, other \in RM : ~(rmState[one] = "committed" /\ rmState[other] = "aborted")

THEOREM TCSpec => [](TCTypeOK /\ TCConsistent)
=============================================================================
