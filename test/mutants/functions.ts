import type { Mutant } from "./mutant.ts";

const WORK = "test/functions/work.test.ts";
const API = "test/functions/api.test.ts";
const ROUTES = "test/functions/service-routes.test.ts";

/** Faults of the triggers: `functions/`. */
export const FUNCTION_MUTANTS: readonly Mutant[] = [
  {
    name: "a hint that finds its item held is dropped",
    why: "an item whose worker died waits for the sweep",
    file: "functions/queues/apply-hints.ts",
    find: `if (outcome.kind === "held") await putOff(app, hint, outcome.untilMs, context);`,
    replace: `void [putOff, outcome];`,
    tests: [WORK],
  },
  {
    name: "a hint that was put off is put off again",
    why: "hints of a busy item never become fewer",
    file: "functions/queues/apply-hints.ts",
    find: `  if (again) return;
`,
    replace: `  void again;
`,
    tests: [WORK],
  },
  {
    name: "of a message with many events one item is worked on",
    why: "the others wait for the sweep",
    file: "functions/queues/apply-hints.ts",
    find: `for (const { itemId } of others) await app.queue.send({ kind: "hint", itemId }, 0);`,
    replace: `void others;`,
    tests: [WORK],
  },
  {
    name: "work that is not done is not handed on",
    why: "a backlog waits for the next event",
    file: "functions/queues/apply-hints.ts",
    find: `    case "more":
      return true;`,
    replace: `    case "more":
      return signalled;`,
    tests: [WORK],
  },
  {
    name: "a hint that came while a worker let go is lost",
    why: "a delta waits for the sweep (rule 5)",
    file: "functions/serving/wake-ups.ts",
    find: `          return wakeUp.signalled();`,
    replace: `          return false;`,
    tests: ["test/functions/wake-ups.test.ts"],
  },
  {
    name: "every item is kept warm",
    why: "two thousand workers wait in one process (rule 9)",
    file: "functions/serving/wake-ups.ts",
    find: `const warm = !closed && warmCount < WARM_ITEMS_MAX_COUNT;`,
    replace: `const warm = !closed && warmCount < 1_000_000 * WARM_ITEMS_MAX_COUNT;`,
    tests: ["test/functions/wake-ups.test.ts"],
  },
  {
    name: "an event of any container is a hint",
    why: "whoever writes into the account makes the app work",
    file: "functions/serving/hint-message.ts",
    find: `return item === undefined ? [] : [{ itemId: item, again: false }];`,
    replace: `return [{ itemId: item ?? container, again: false }];`,
    tests: ["test/functions/hint-message.test.ts"],
  },
  {
    name: "an item that fails ends the timer",
    why: "one damaged record stops the sweep of all items behind it",
    file: "functions/serving/item-walk.ts",
    find: `      failures.push(error);
`,
    replace: `      throw error;
`,
    tests: [WORK],
  },
  {
    name: "a timer begins with the first item each time",
    why: "items at the end are never visited",
    file: "functions/serving/item-walk.ts",
    find: `if (after !== undefined) app.cursors.set(name, after);`,
    replace: `void after;`,
    tests: [WORK],
  },
  {
    name: "a timer runs for as long as it takes",
    why: "the host kills it in the middle of an item",
    file: "functions/serving/item-walk.ts",
    find: `if (app.clock.now() >= deadlineMs) {`,
    replace: `if (app.clock.now() >= deadlineMs * 2) {`,
    tests: [WORK],
  },
  {
    name: "a sweep that fails does not look after the flow of its item",
    why: "a job of an item with a damaged record hangs for ever",
    file: "functions/timers/sweep.ts",
    find: `for (const part of parts) await part().catch((error: unknown) => void failures.push(error));`,
    replace: `for (const part of parts) await part();`,
    tests: [WORK],
  },
  {
    name: "a sweep tells the last failure of an item",
    why: "what keeps an item from replicating is hidden behind what its flow met because of it",
    file: "functions/timers/sweep.ts",
    find: `  if (failures.length > 0) throw failures[0];`,
    replace: `  if (failures.length > 0) throw failures.at(-1);`,
    tests: [WORK],
  },
  {
    name: "restores whose message was lost stay asleep",
    why: "they say InProgress for ever",
    file: "functions/timers/sweep.ts",
    find: `for (const restoreId of summary.restores) await app.queue.send({ kind: "restore", itemId, restoreId }, 0);`,
    replace: ``,
    tests: [WORK],
  },
  {
    name: "the sweep tidies each time",
    why: "every manifest of every item is read each half minute",
    file: "functions/timers/sweep.ts",
    find: `if (scope === "all" && summary?.more !== true) app.tidied.set(itemId, nowMs);`,
    replace: ``,
    tests: [WORK],
  },
  {
    name: "a topic that is away fails the sweep",
    why: "the sweep of an item depends on who listens",
    file: "functions/timers/sweep.ts",
    find: `if (!hasCode(error, "events-unavailable", "events-refused")) throw error;`,
    replace: `if (hasCode(error, "events-unavailable", "events-refused")) throw error;`,
    tests: [WORK],
  },
  {
    name: "a stranger learns whether an item exists",
    why: "names of machines can be probed without a key",
    file: "functions/serving/service-route.ts",
    find: `if (hasCode(error, "item-unknown", "not-authorized")) throw refusal();`,
    replace: `if (hasCode(error, "not-authorized")) throw refusal();`,
    tests: [ROUTES],
  },
  {
    name: "a stranger makes the app read storage",
    why: "an anonymous route becomes a lever against the account",
    file: "functions/serving/service-route.ts",
    find: `  if (token === undefined) throw refusal();
  return { itemId, token };`,
    replace: `  return { itemId, token: token ?? sentToken };`,
    tests: [ROUTES],
  },
  {
    name: "one service may talk without end",
    why: "a machine that was taken over stops the replication of all others",
    file: "functions/serving/request-gate.ts",
    find: `if (caller.left < 1) throw`,
    replace: `if (caller.left < -1_000_000) throw`,
    tests: [ROUTES],
  },
  {
    name: "any number of requests runs at once",
    why: "settling exhausts the memory of the app (rule 9)",
    file: "functions/serving/request-gate.ts",
    find: `if (running >= bounds.atOnce || caller`,
    replace: `if (running >= 1_000_000 * bounds.atOnce || caller`,
    tests: [ROUTES],
  },
  {
    name: "a request that failed keeps its place",
    why: "after some failures no machine is heard any more",
    file: "functions/serving/request-gate.ts",
    find: `      try {
        return await work();
      } finally {
        caller.running -= 1;
        running -= 1;
      }`,
    replace: `      const done = await work();
      caller.running -= 1;
      running -= 1;
      return done;`,
    tests: [ROUTES],
  },
  {
    name: "the heartbeat's route is open to everybody's function key",
    why: "machines would need a key that opens everything (rule 8)",
    file: "api/mobility.ts",
    find: `caller: "item-token",
    summary: "The word`,
    replace: `caller: "operator",
    summary: "The word`,
    tests: ["test/functions/registration.test.ts"],
  },
  {
    name: "an answer may say more than the contract",
    why: "a secret in a view is noticed by nobody (rule 8), and clients meet fields that no document has",
    file: "api/check-answer.ts",
    find: `if (!isDeepStrictEqual(withoutUndefined(parsed.data), sent))`,
    replace: `if (sent === isDeepStrictEqual)`,
    tests: ["test/api/check-answer.test.ts"],
  },
  {
    name: "the client goes wherever an answer points",
    why: "the function key is sent to another host (rule 8)",
    file: "api/client.ts",
    find: `if (place.origin !== url.origin) throw`,
    replace: `if (place.origin === "") throw`,
    tests: ["test/api/client.test.ts", "test/cli/restore.test.ts"],
  },
  {
    name: "the way to whole disks needs no key",
    why: "everybody reads every disk (rule 8)",
    file: "api/restores.ts",
    find: `caller: "operator",
    summary: "Addresses`,
    replace: `caller: "item-token",
    summary: "Addresses`,
    tests: ["test/functions/registration.test.ts"],
  },
  {
    name: "a body has any length",
    why: "one request exhausts the memory of the app (rule 9)",
    file: "functions/serving/http-edge.ts",
    find: `if (lengthBytes > maxBytes) {`,
    replace: `if (lengthBytes > maxBytes * 1_000_000) {`,
    tests: ["test/alerts/handle-alert.test.ts", API],
  },
  {
    name: "an unknown fault is told to the caller",
    why: "addresses and secrets of a stack reach a stranger (rule 8)",
    file: "functions/serving/http-edge.ts",
    find: `const reported = known ?? new LeewardError("internal", "The request could not be answered.");`,
    replace: `const reported = known ?? new LeewardError("internal", String(error));`,
    tests: ["test/functions/http-edge.test.ts"],
  },
  {
    name: "a registration token stands in the answer of a repeated request",
    why: "who repeats a request of before takes the item over",
    file: "functions/routes/protected-items.ts",
    find: `if (secret === undefined) return { status: 200, body: protectedView(item) };`,
    replace: `if (secret === undefined) return { status: 200, body: { ...protectedView(item), registrationToken: item.registrationHash } };`,
    tests: [API],
  },
  {
    name: "the hashes of tokens stand in the view of an item",
    why: "they are no secret that anybody needs to see (rule 8)",
    file: "functions/views/item-views.ts",
    find: `return { name: itemId, stream, disks, policyName, policy: policyInMinutes(policy), created: timeView(createdMs) };`,
    replace: `return { ...item, name: itemId, stream, disks, policyName, policy: policyInMinutes(policy), created: timeView(createdMs) };`,
    tests: [API],
  },
  {
    name: "an item that is managed is protected by its disks",
    why: "a machine loses its flows, and its resources are left over",
    file: "functions/routes/protected-items.ts",
    find: `if ((await findManaged(app.stores, itemId)) !== undefined) throw isManaged(itemId);`,
    replace: `void [findManaged, isManaged];`,
    tests: [API, "test/functions/work.test.ts"],
  },
  {
    name: "an identity's token travels in the clear",
    why: "everybody on the way gets it (rule 8)",
    file: "functions/settings.ts",
    find: `if (token === undefined && !endpoint.startsWith("https:"))`,
    replace: `if (token === undefined && !endpoint.startsWith("http"))`,
    tests: ["test/functions/settings.test.ts"],
  },
  {
    name: "an operator gets any number of restores",
    why: "copies of all disks fill the account (rule 9)",
    file: "functions/routes/restores.ts",
    find: `    await requireRoomForRestore(app, itemId, requestId);
`,
    replace: `    void requireRoomForRestore;
`,
    tests: [API],
  },
  {
    name: "a restore whose record is gone fails its message again and again",
    why: "it goes to the poison queue, and somebody is woken for nothing",
    file: "functions/queues/restore-slices.ts",
    find: `if (hasCode(error, "restore-unknown")) return { kind: "gone" } as const;`,
    replace: `if (hasCode(error, "internal")) return { kind: "gone" } as const;`,
    tests: [API],
  },
  {
    name: "a repair is asked for while the item fails over",
    why: "its stream is opened under a machine that is being made",
    file: "orchestrations/repair-item.ts",
    find: `  await requireRepairable(context, itemId);
  const managed`,
    replace: `  const managed`,
    tests: [API],
  },
];
