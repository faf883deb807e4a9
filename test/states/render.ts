import { allowedOperations } from "../../replication/states/decide.ts";
import { offeredOperations } from "../../replication/states/offered.ts";
import { REFUSALS } from "../../replication/states/refusals.ts";
import {
  FACTS,
  type ItemEvent,
  ITEM_STATES,
  type ItemState,
  type Operation,
  OPERATIONS,
  OUTCOMES,
  STATE_KINDS,
} from "../../replication/states/states.ts";
import { TRANSITIONS, type Transition } from "../../replication/states/table.ts";
import { PLANNED_WORDS, WORDS } from "../../replication/states/words.ts";

const OFFERED: ReadonlySet<ItemEvent> = new Set(ITEM_STATES.flatMap(offeredOperations));
const isBuilt = (operation: Operation): boolean => OFFERED.has(operation);
const REACHED = reachedStates();

/** The whole text of docs/states.md. */
export function renderStates(): string {
  return `${[
    "# The states of a protected item",
    "",
    "This page is generated from `replication/states/table.ts`, and a test compares the two. After a change of the",
    "table renew it with `npx vitest run test/states/document.test.ts -u` and read the difference: it is the change",
    "that operators will see.",
    "",
    "An item is in exactly one state. Three kinds of events can change it: **operations** that an operator requests,",
    "**outcomes** of the running job, and **facts** that replication reports. Facts are levels: each is reported again",
    "while it is true, so a state that ignores one loses nothing. `allowedOperations` are the operations that the API",
    "lists.",
    "",
    "## Not built yet",
    "",
    "The tables show the whole design, of which this version has only a part.",
    "",
    `- Operations that are not built yet: ${codes(OPERATIONS.filter((operation) => !isBuilt(operation)))}. The API has no`,
    "  route for them and never lists them as allowed, whatever the tables say. Failing back is a failover after",
    "  `SwitchProtection`, so it is not built yet either.",
    `- States that no item reaches yet: ${codes(ITEM_STATES.filter((state) => !REACHED.has(state)))}.`,
    "- `RepairReplication` is built, but it is no flow and has no job: it is a request to the mobility service.",
    "",
    'The tables mark these operations and states with "(not built yet)". The rules below describe the whole design.',
    "",
    "## Rules",
    "",
    "While a job runs nearly everything is refused. The few operations that are allowed take over: their job first",
    "ends the running one. So a real failover is possible while a test failover is being made, is open or is being",
    "cleaned up, and while a resynchronization is prepared; a failover that hangs can be cancelled; and disabling",
    "abandons an enabling or a re-protection. A failover that takes over an open test failover removes its resources",
    "too.",
    "",
    "Two operations lose data, so a client must ask the operator first: `Commit` deletes all recovery points, and",
    "`CancelFailover` after a completed failover deletes the machine in the target region with everything written",
    "there.",
    "",
    "## States",
    "",
    table(
      ["state", "kind", "allowedOperations", "allowed once it is built"],
      ITEM_STATES.map((state) => [
        rowOf(state),
        STATE_KINDS[state],
        offeredOperations(state).join(", ") || "-",
        allowedOperations(state)
          .filter((operation) => !isBuilt(operation))
          .join(", ") || "-",
      ]),
    ),
    "",
    "Kinds: `flow`: a job runs and ends the state; `seeding`: replication ends it; `settled` and `failed`: an operator",
    "ends it; `end`: nothing of the item is left.",
    "",
    "## Operations",
    "",
    "What starts, and the state that follows. A dash is a refusal; the next table has its reason.",
    "",
    transitions(OPERATIONS),
    "",
    "## Why an operation is refused",
    "",
    table(
      ["state", ...OPERATIONS.map(columnOf)],
      ITEM_STATES.map((state) => [
        rowOf(state),
        ...OPERATIONS.map((operation) => {
          const transition = TRANSITIONS[state][operation];
          return transition.kind === "refuse" ? transition.reason : "";
        }),
      ]),
    ),
    "",
    table(["reason", "meaning"], Object.entries(REFUSALS)),
    "",
    "## Outcomes and facts",
    "",
    "An outcome counts only when it comes from the job that the item waits for. A dash means no effect.",
    "",
    transitions([...OUTCOMES, ...FACTS]),
    "",
    "## Words of the API",
    "",
    "What the API shows, in Site Recovery's words. `unchanged`: as in the previous state. Until the resources of a test",
    "failover that was taken over are removed, `testFailoverState` is `MarkedForDeletion` in every state that says",
    "`None` here.",
    "",
    table(
      ["state", "protectionState", "description", "after a planned failover", "activeLocation", "testFailoverState"],
      ITEM_STATES.map((state) => {
        const { protectionState, protectionStateDescription, activeLocation, testFailover } = WORDS[state];
        const planned = PLANNED_WORDS[state];
        return [
          rowOf(state),
          protectionState,
          protectionStateDescription,
          planned === undefined ? "" : `${planned.protectionState}: ${planned.protectionStateDescription}`,
          activeLocation,
          testFailover.testFailoverState === "None"
            ? "None"
            : `${testFailover.testFailoverState}: ${testFailover.testFailoverStateDescription}`,
        ];
      }),
    ),
  ].join("\n")}\n`;
}

/** The states that an item can reach by offered operations. A repair starts no job, so it never enters its states. */
function reachedStates(): ReadonlySet<ItemState> {
  const reached = new Set<ItemState>(["Unprotected"]);
  for (const state of reached) {
    const events: readonly ItemEvent[] = [...offeredOperations(state), ...OUTCOMES, ...FACTS];
    for (const event of events) {
      const transition = TRANSITIONS[state][event];
      const isEntered = transition.kind === "move" || (transition.kind === "start" && event !== "RepairReplication");
      if (isEntered) reached.add(transition.next);
    }
  }
  return reached;
}

const codes = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");
const rowOf = (state: ItemState): string => (REACHED.has(state) ? state : `${state} (not built yet)`);
const columnOf = (event: ItemEvent): string =>
  OPERATIONS.some((operation) => operation === event && !isBuilt(operation)) ? `${event} (not built yet)` : event;

function transitions(events: readonly ItemEvent[]): string {
  return table(
    ["state", ...events.map(columnOf)],
    ITEM_STATES.map((state) => [rowOf(state), ...events.map((event) => cell(TRANSITIONS[state][event]))]),
  );
}

function cell(transition: Transition): string {
  switch (transition.kind) {
    case "start":
      return `\`${transition.flow}\` → ${transition.next}`;
    case "move":
      return `→ ${transition.next}`;
    case "refuse":
    case "ignore":
      return "-";
  }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
