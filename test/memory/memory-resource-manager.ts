import { type ErrorCode, LeewardError } from "../../replication/errors.ts";
import { parsePath } from "../../replication/resources/ids.ts";
import { isObject, partOf, textOf } from "../../replication/resources/json.ts";
import type {
  Begun,
  Change,
  PollResult,
  ResourceJson,
  ResourceManager,
} from "../../replication/resources/resource-manager.ts";

/** The fault for requests that match `on` and `id`, `times` times. */
interface MemoryFault {
  readonly on: "begin" | "look" | "read" | "list";
  /** Of the change; undefined for any. */
  readonly change?: Change["kind"];
  /** A part of the id or collection, in any case; undefined for any. */
  readonly id?: string;
  readonly times: number;
  readonly with:
    /** The change is refused, or its operation ends so. */
    | { readonly kind: "failed"; readonly code: ErrorCode; readonly azureCode?: string; readonly message?: string }
    | { readonly kind: "busy" }
    /** No answer, and nothing was done. */
    | { readonly kind: "unavailable" }
    /** Done, but not answered. */
    | { readonly kind: "lost-answer" };
}

export interface MemoryResourceManager extends ResourceManager {
  /** Every request in order: `begin put /subscriptions/...`, `look start ...`, `read ...`. */
  readonly requests: string[];
  /** All resources, by id in lower case. */
  readonly resources: ReadonlyMap<string, ResourceJson>;
  /** Adds a resource as if it already existed. `skus` and `usages` are seeded with `seedList`. */
  seed(id: string, body: ResourceJson): void;
  /** The list answer for what is not a resource. */
  seedList(collection: string, items: readonly ResourceJson[]): void;
  fail(fault: MemoryFault): void;
  /** Advances time: every operation comes one look nearer to its end, whether polled or not. */
  tick(): void;
}

interface Operation {
  readonly change: Change;
  looksLeft: number;
  readonly failure: { readonly code: ErrorCode; readonly azureCode: string } | undefined;
  result: ResourceJson | undefined;
}

/**
 * Resource Manager as far as flows see it: groups hold resources, resources in use cannot be removed, machines have a
 * power state. Each begun change takes `looks` looks; waits are 0 ms.
 */
export function memoryResourceManager({ looks = 2 }: { readonly looks?: number } = {}): MemoryResourceManager {
  const resources = new Map<string, ResourceJson>();
  const lists = new Map<string, readonly ResourceJson[]>();
  const operations: Operation[] = [];
  const requests: string[] = [];
  const faults: { readonly fault: MemoryFault; left: number }[] = [];
  const keyOf = (id: string): string => id.toLowerCase();

  const strike = (on: MemoryFault["on"], id: string, change?: Change["kind"]): MemoryFault["with"] | undefined => {
    const hit = faults.find(
      ({ fault, left }) =>
        left > 0 &&
        fault.on === on &&
        (fault.change === undefined || fault.change === change) &&
        keyOf(id).includes(keyOf(fault.id ?? "")),
    );
    if (hit === undefined) return undefined;
    hit.left -= 1;
    return hit.fault.with;
  };
  const unavailable = (): LeewardError => new LeewardError("azure-unavailable", "Nobody answered, on purpose.");
  const failed = (code: ErrorCode, azureCode: string, message: string): Begun & PollResult => ({
    kind: "failed",
    code,
    azureCode,
    message,
    retryable: new LeewardError(code, message).retryable,
  });
  const nameResource = (id: string, body: ResourceJson, state: string): ResourceJson => {
    const path = parsePath(id);
    const properties = { ...(partOf(body, "properties") as ResourceJson | undefined), provisioningState: state };
    return { id, name: path?.name ?? "", type: path?.type ?? "", ...body, properties };
  };
  const userOf = (id: string): string | undefined => {
    const own = keyOf(id);
    const quoted = (text: string): boolean => text.includes(`"${own}"`) || text.includes(`"${own}/`);
    return [...resources.entries()].find(
      ([key, body]) => key !== own && quoted(JSON.stringify(body["properties"] ?? {}).toLowerCase()),
    )?.[0];
  };
  const change = (id: string, state: string): void => {
    const found = resources.get(keyOf(id));
    if (found !== undefined) resources.set(keyOf(id), nameResource(id, found, state));
  };

  /** Why the change cannot be begun. */
  const refusal = ({ kind, id }: Change): Begun | undefined => {
    const group = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(id)?.[0] ?? "";
    if (kind === "put" && keyOf(group) !== keyOf(id) && !resources.has(keyOf(group))) {
      return failed("azure-resource-missing", "ResourceGroupNotFound", `There is no group ${group}.`);
    }
    if ((kind === "act" || kind === "patch") && !resources.has(keyOf(id)))
      return failed("azure-resource-missing", "ResourceNotFound", `There is no ${id}.`);
    const user = kind === "remove" && keyOf(group) !== keyOf(id) ? userOf(id) : undefined;
    if (user !== undefined) return failed("azure-resource-conflict", "InUse", `${id} is used by ${user}.`);
    const holder = operations.find((operation) => operation.looksLeft > 0 && keyOf(operation.change.id) === keyOf(id));
    if (holder === undefined) return undefined;
    // Time also advances an operation whose answer was lost.
    advance(holder);
    return {
      kind: "busy",
      retryAfterMs: 0,
      azureCode: "AnotherOperationInProgress",
      message: "Another operation runs.",
    };
  };

  const finish = ({ change: made }: Operation): ResourceJson | undefined => {
    const { id } = made;
    if (made.kind === "remove") {
      for (const key of resources.keys())
        if (key === keyOf(id) || key.startsWith(`${keyOf(id)}/`)) resources.delete(key);
      return undefined;
    }
    change(id, "Succeeded");
    if (made.kind === "act") {
      if (made.action === "listKeys") return { keys: [{ keyName: "key1", value: "memory" }] };
      if (made.action === "beginGetAccess") return { accessSAS: `memory:${keyOf(id)}` };
      const power = { start: "running", powerOff: "stopped", deallocate: "deallocated", endGetAccess: undefined }[
        made.action
      ];
      if (power !== undefined) setPower(id, power);
    } else if (made.kind === "put" && parsePath(id)?.type === "microsoft.compute/virtualmachines")
      setPower(id, "running");
    return resources.get(keyOf(id));
  };
  /** Advances by one look. Ended operations do not change. */
  const advance = (operation: Operation): void => {
    if (operation.looksLeft === 0) return;
    operation.looksLeft -= 1;
    if (operation.looksLeft > 0) return;
    if (operation.failure === undefined) operation.result = finish(operation);
    else change(operation.change.id, "Failed");
  };
  const setPower = (id: string, power: string): void =>
    void resources.set(`${keyOf(id)}/instanceview`, {
      statuses: [{ code: "ProvisioningState/succeeded" }, { code: `PowerState/${power}` }],
    });

  const accept = (made: Change, failure: Operation["failure"]): Begun => {
    const operation: Operation = { change: made, looksLeft: Math.max(1, looks), failure, result: undefined };
    if (made.kind === "put")
      resources.set(keyOf(made.id), nameResource(made.id, structuredClone(made.body), "Creating"));
    else if (made.kind === "patch") {
      resources.set(
        keyOf(made.id),
        nameResource(made.id, patched(resources.get(keyOf(made.id)) ?? {}, made.body), "Updating"),
      );
    } else change(made.id, made.kind === "remove" ? "Deleting" : "Updating");
    operations.push(operation);
    if (looks === 0 && failure === undefined) {
      advance(operation);
      return { kind: "done", result: structuredClone(operation.result) };
    }
    return { kind: "running", operation: JSON.stringify({ operation: operations.length - 1 }), retryAfterMs: 0 };
  };

  return {
    requests,
    resources,
    seed: (id, body) => void resources.set(keyOf(id), nameResource(id, structuredClone(body), "Succeeded")),
    seedList: (collection, items) => void lists.set(keyOf(collection), items),
    tick: () => operations.forEach(advance),
    fail: (fault) => void faults.push({ fault, left: fault.times }),
    read: async (id) => {
      requests.push(`read ${id}`);
      if (strike("read", id) !== undefined) throw unavailable();
      return structuredClone(resources.get(keyOf(id)));
    },
    list: async (collection) => {
      requests.push(`list ${collection}`);
      if (strike("list", collection) !== undefined) throw unavailable();
      const path = parsePath(collection);
      const isContents = path?.type === "microsoft.resources/resources";
      const scope = isContents ? keyOf(path.parentId ?? "") : (keyOf(collection).split("/providers/")[0] ?? "");
      const items = [...resources.values()].filter((resource) => {
        const id = textOf(resource, "id") ?? "";
        const own = parsePath(id);
        return own !== undefined && (isContents || own.type === path?.type) && keyOf(id).startsWith(`${scope}/`);
      });
      return structuredClone(lists.get(keyOf(collection)) ?? items);
    },
    begin: async (made) => {
      requests.push(`begin ${made.kind === "act" ? made.action : made.kind} ${made.id}`);
      const fault = strike("begin", made.id, made.kind);
      if (fault?.kind === "unavailable") throw unavailable();
      if (fault?.kind === "failed")
        return failed(fault.code, fault.azureCode ?? "", fault.message ?? "Refused on purpose.");
      if (fault?.kind === "busy")
        return { kind: "busy", retryAfterMs: 0, azureCode: "TooManyRequests", message: "Busy on purpose." };
      const refused = refusal(made);
      if (refused !== undefined) return refused;
      if (made.kind === "put" && made.createOnly === true && resources.has(keyOf(made.id))) {
        return { kind: "busy", retryAfterMs: 0, azureCode: "PreconditionFailed", message: "It is there." };
      }
      if (made.kind === "remove" && !resources.has(keyOf(made.id))) return { kind: "done", result: undefined };
      const late = strike("look", made.id, made.kind);
      const begun = accept(
        made,
        late?.kind === "failed" ? { code: late.code, azureCode: late.azureCode ?? "" } : undefined,
      );
      if (fault?.kind === "lost-answer") throw unavailable();
      return begun;
    },
    poll: async (text) => {
      const operation = operations[(JSON.parse(text) as { readonly operation: number }).operation];
      if (operation === undefined) throw new LeewardError("internal", "This is no operation of Resource Manager.");
      const { change: made } = operation;
      requests.push(`look ${made.kind === "act" ? made.action : made.kind} ${made.id}`);
      advance(operation);
      if (operation.looksLeft > 0) return { kind: "running", operation: text, retryAfterMs: 0 };
      if (operation.failure === undefined) return { kind: "done", result: structuredClone(operation.result) };
      return failed(operation.failure.code, operation.failure.azureCode, "The operation failed, on purpose.");
    },
  };
}

/** Merges members of objects one by one, replaces everything else; tags too. */
function patched(resource: ResourceJson, patch: ResourceJson): ResourceJson {
  const merge = (before: unknown, after: unknown): unknown =>
    isObject(before) && isObject(after)
      ? {
          ...before,
          ...Object.fromEntries(Object.entries(after).map(([name, each]) => [name, merge(before[name], each)])),
        }
      : after;
  const tags = patch["tags"] === undefined ? {} : { tags: patch["tags"] };
  return { ...(merge(resource, structuredClone(patch)) as ResourceJson), ...structuredClone(tags) };
}
