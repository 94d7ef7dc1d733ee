---------------------------- MODULE FencedCommit ----------------------------
(* Two-phase commit with a decision row that is put if absent, and an epoch in every gid: one transaction,    *)
(* its coordinator, and recoverers that take over its name while it may still be alive.                       *)
(*                                                                                                            *)
(* A message, once sent, may be received at any later time, any number of times, or never: so it can be lost, *)
(* late, doubled and overtaken. A process that waits long enough is a slow one; nothing here knows the time.  *)

EXTENDS Naturals, FiniteSets

CONSTANTS
    RM,          \* the participants on which the transaction wrote
    Marker,      \* the one of them whose own local transaction carries the decision row, or NoMarker
    NoMarker,
    Recoverers,  \* processes that recover under the coordinator's name
    Own,         \* the recovery by the coordinator itself, of what it left in doubt
    MaxCrashes,  \* how many times a recoverer crashes in the middle of it, all together
    Off          \* the rules that do not hold, by the names that the simulator has for them

ASSUME Marker \in RM \cup {NoMarker} /\ NoMarker \notin RM /\ Own \notin Recoverers

VARIABLES
    rmState,  \* of each participant's branch: "working", "prepared", "committed" or "aborted"
    coord,    \* the coordinator: "working", "preparing", "deciding", "committed", "aborted", "in doubt", "crashed"
    told,     \* what the application was told: "nothing", "committed", "aborted"
    epoch,    \* the newest epoch of the coordinator's name; this transaction is of epoch 1
    row,      \* the decision row: "none", "committed" or "aborted"
    rec,      \* of each recoverer: where it is, and the branches that it found prepared
    crashes,  \* of recoverers so far
    msgs      \* all messages ever sent

vars == <<rmState, coord, told, epoch, row, rec, crashes, msgs>>

ours == <<rmState, told, coord>>
store == <<epoch, row>>
theirs == <<rec, crashes>>

Holds(rule) == rule \notin Off
Prepares == RM \ {Marker}
All == Recoverers \cup {Own}

(* Messages: requests to the participants, votes, puts into the decision store and what it says that stands. *)
Ask(what, rm) == [type |-> what, rm |-> rm]
Put(outcome) == [type |-> "put", outcome |-> outcome]
Stands(outcome) == [type |-> "stands", outcome |-> outcome]
Refused == [type |-> "refused"]  \* the marker's branch did not decide, and never will

Messages ==
    [type : {"prepare", "yes", "commit", "rollback"}, rm : RM] \cup
    [type : {"put", "stands"}, outcome : {"committed", "aborted"}] \cup {[type |-> "decide"], Refused}

Idle == [at |-> "down", found |-> {}]

TypeOK ==
    /\ rmState \in [RM -> {"working", "prepared", "committed", "aborted"}]
    /\ coord \in {"working", "preparing", "deciding", "committed", "aborted", "in doubt", "crashed"}
    /\ told \in {"nothing", "committed", "aborted"}
    /\ epoch \in 1 .. 1 + Cardinality(Recoverers) + MaxCrashes
    /\ row \in {"none", "committed", "aborted"}
    /\ rec \in [All -> [at : {"down", "scan", "settle"}, found : SUBSET RM]]
    /\ crashes \in 0 .. MaxCrashes
    /\ msgs \subseteq Messages

Init ==
    /\ rmState = [rm \in RM |-> "working"]
    /\ coord = "working"
    /\ told = "nothing"
    /\ epoch = 1
    /\ row = "none"
    /\ rec = [r \in All |-> Idle]
    /\ crashes = 0
    /\ msgs = {}

Send(some) == msgs' = msgs \cup some
SendAll(what, rms) == Send({Ask(what, rm) : rm \in rms})
Becomes(rm, state) == rmState' = [rmState EXCEPT ![rm] = state]

-----------------------------------------------------------------------------
(* Participants. What is prepared or over is durable; a branch that is only working can be lost at any time. *)

Prepare(rm) ==
    /\ Ask("prepare", rm) \in msgs
    /\ rmState[rm] = "working"
    /\ Becomes(rm, "prepared")
    /\ Send({Ask("yes", rm)})
    /\ UNCHANGED <<coord, told, store, theirs>>

LoseBranch(rm) ==  \* a failed statement, a crash of the participant, a connection that ends
    /\ rmState[rm] = "working"
    /\ Becomes(rm, "aborted")
    /\ UNCHANGED <<coord, told, store, theirs, msgs>>

Commit(rm) ==
    /\ Ask("commit", rm) \in msgs
    /\ rmState[rm] = "prepared"
    /\ Becomes(rm, "committed")
    /\ UNCHANGED <<coord, told, store, theirs, msgs>>

RollBack(rm) ==
    /\ Ask("rollback", rm) \in msgs
    /\ rmState[rm] \in {"working", "prepared"}
    /\ Becomes(rm, "aborted")
    /\ UNCHANGED <<coord, told, store, theirs, msgs>>

-----------------------------------------------------------------------------
(* The decision store. *)

Fresh == epoch = 1 \/ ~Holds("stale-never-commits")

Recorded(outcome) == IF outcome = "committed" /\ ~Fresh THEN "aborted" ELSE outcome

PutIfAbsent(outcome) ==
    LET standing == IF row = "none" \/ ~Holds("put-if-absent") THEN Recorded(outcome) ELSE row
    IN  /\ Put(outcome) \in msgs
        /\ row' = standing
        /\ Send({Stands(standing)})
        /\ UNCHANGED <<ours, epoch, theirs>>

Decide ==  \* the marker commits its own work together with the row, if none stands and nobody took over
    /\ [type |-> "decide"] \in msgs
    /\ rmState[Marker] = "working"
    /\ IF row = "none" /\ Fresh
         THEN row' = "committed" /\ Becomes(Marker, "committed") /\ Send({Stands("committed")})
         ELSE row' = row /\ Becomes(Marker, "aborted") /\ Send({Refused})
    /\ UNCHANGED <<coord, told, epoch, theirs>>

-----------------------------------------------------------------------------
(* The coordinator. Being slow, paused or a zombie is taking the next of these steps late. *)

AskAllToPrepare ==
    /\ coord = "working"
    /\ coord' = "preparing"
    /\ SendAll("prepare", Prepares)
    /\ UNCHANGED <<rmState, told, store, theirs>>

GiveUp ==  \* a vote against, no answer in time, or the application's own wish: presumed abort, no row
    /\ coord \in {"working", "preparing"}
    /\ coord' = "aborted"
    /\ told' = "aborted"
    /\ SendAll("rollback", RM)
    /\ UNCHANGED <<rmState, store, theirs>>

AllVotedYes == \A rm \in Prepares : Ask("yes", rm) \in msgs

AskToDecide ==
    /\ coord = "preparing"
    /\ AllVotedYes
    /\ coord' = "deciding"
    /\ Send(IF Marker = NoMarker THEN {Put("committed")} ELSE {[type |-> "decide"]})
    /\ UNCHANGED <<rmState, told, store, theirs>>

TellBeforeDeciding ==
    /\ ~Holds("decide-before-telling")
    /\ coord = "preparing"
    /\ AllVotedYes
    /\ coord' = "committed"
    /\ told' = "committed"
    /\ SendAll("commit", RM)
    /\ UNCHANGED <<rmState, store, theirs>>

AskWhatStands ==  \* no answer from the marker: whoever puts a row first has decided
    /\ coord = "deciding"
    /\ Marker # NoMarker
    /\ Send({Put("aborted")})
    /\ UNCHANGED <<ours, store, theirs>>

Follow(outcome) ==
    /\ coord' = outcome
    /\ told' = outcome
    /\ SendAll(IF outcome = "committed" THEN "commit" ELSE "rollback", RM)
    /\ UNCHANGED <<rmState, store, theirs>>

LearnDecision(outcome) ==
    /\ coord = "deciding"
    /\ Stands(outcome) \in msgs
    /\ Follow(IF Holds("loser-follows-winner") THEN outcome ELSE "committed")

LearnRefusal ==
    /\ coord = "deciding"
    /\ Refused \in msgs
    /\ Follow("aborted")

StayInDoubt ==  \* no answer at all: neither committed nor aborted, as far as it knows
    /\ coord = "deciding"
    /\ coord' = "in doubt"
    /\ told' = IF Holds("silence-is-no-abort") THEN "nothing" ELSE "aborted"
    /\ UNCHANGED <<rmState, store, theirs, msgs>>

Crash ==
    /\ coord \notin {"committed", "aborted", "crashed"}
    /\ coord' = "crashed"
    /\ UNCHANGED <<rmState, told, store, theirs, msgs>>

-----------------------------------------------------------------------------
(* Recovery, by any number of processes at once. *)

TakeOver(r) ==
    /\ rec[r].at = "down"
    /\ IF r = Own THEN coord = "in doubt" /\ epoch' = epoch ELSE epoch' = epoch + 1
    /\ rec' = [rec EXCEPT ![r].at = "scan"]
    /\ UNCHANGED <<ours, row, crashes, msgs>>

InDoubt == {rm \in RM : rmState[rm] = "prepared"}

Scan(r) ==
    /\ rec[r].at = "scan"
    /\ InDoubt # {}
    /\ rec' = [rec EXCEPT ![r] = [at |-> "settle", found |-> InDoubt]]
    /\ Send(IF Holds("win-before-rollback") THEN {Put("aborted")} ELSE {})
    /\ UNCHANGED <<ours, store, crashes>>

Presumed == IF row = "none" THEN "aborted" ELSE row  \* what one believes who only looks

Settle(r, outcome) ==
    /\ rec[r].at = "settle"
    /\ IF Holds("win-before-rollback") THEN Stands(outcome) \in msgs ELSE outcome = Presumed
    /\ SendAll(IF outcome = "committed" THEN "commit" ELSE "rollback", rec[r].found)
    /\ rec' = [rec EXCEPT ![r] = [at |-> "scan", found |-> {}]]
    /\ UNCHANGED <<ours, store, crashes>>

CrashRecovery(r) ==
    /\ rec[r].at # "down"
    /\ r # Own
    /\ crashes < MaxCrashes
    /\ crashes' = crashes + 1
    /\ rec' = [rec EXCEPT ![r] = Idle]
    /\ UNCHANGED <<ours, store, msgs>>

-----------------------------------------------------------------------------
Outcomes == {"committed", "aborted"}

Participants == \E rm \in RM : Prepare(rm) \/ LoseBranch(rm) \/ Commit(rm) \/ RollBack(rm)
Store == Decide \/ \E outcome \in Outcomes : PutIfAbsent(outcome)
Coordinator ==
    \/ AskAllToPrepare \/ GiveUp \/ AskToDecide \/ TellBeforeDeciding \/ AskWhatStands
    \/ LearnRefusal \/ StayInDoubt \/ Crash
    \/ \E outcome \in Outcomes : LearnDecision(outcome)
Recovery ==
    \E r \in All : TakeOver(r) \/ Scan(r) \/ CrashRecovery(r) \/ \E outcome \in Outcomes : Settle(r, outcome)

Next == Participants \/ Store \/ Coordinator \/ Recovery

(* Recovery runs, and what is asked again and again gets through; the coordinator need not do anything. *)
Gone == coord \in {"aborted", "crashed", "in doubt"}
Fairness ==
    /\ \A rm \in RM :
        WF_vars(Commit(rm)) /\ WF_vars(RollBack(rm)) /\ WF_vars(Gone /\ LoseBranch(rm))
    /\ WF_vars(PutIfAbsent("aborted"))
    /\ \A r \in Recoverers :
        WF_vars(TakeOver(r)) /\ WF_vars(Scan(r)) /\ WF_vars(\E outcome \in Outcomes : Settle(r, outcome))

Spec == Init /\ [][Next]_vars /\ Fairness

-----------------------------------------------------------------------------
(* What must hold. *)

Committed == {rm \in RM : rmState[rm] = "committed"}
Aborted == {rm \in RM : rmState[rm] = "aborted"}

Atomic == Committed = {} \/ Aborted = {}

ToldTheTruth ==
    /\ told = "committed" => Aborted = {} /\ row = "committed"
    /\ told = "aborted" => Committed = {} /\ row # "committed"

RowIsTheDecision == Committed # {} => row = "committed"

RowStands == [][row # "none" => row' = row]_row

ZombieCommitsNothing == [][row' = "committed" => epoch = 1]_row

InDoubtEnds == \A rm \in RM : rmState[rm] = "prepared" ~> rmState[rm] \in Outcomes

GoneMeansOver == Gone ~> \A rm \in RM : rmState[rm] \in Outcomes

(* It is transaction commit, as Gray and Lamport define it. The marker promises, as far as anyone can see, when *)
(* it is asked to decide, and may still refuse as long as it did not.                                          *)
Shown == [rm \in RM |->
    IF rm = Marker /\ rmState[rm] = "working" /\ [type |-> "decide"] \in msgs THEN "prepared" ELSE rmState[rm]]

Abstract == INSTANCE TCommit WITH rmState <- Shown

CommitsTransactions == Abstract!TCSpec

THEOREM Spec => CommitsTransactions /\ []Atomic /\ []ToldTheTruth
=============================================================================
