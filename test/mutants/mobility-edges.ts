import type { Mutant } from "./mutant.ts";

const NBD = "test/mobility/nbd-protocol.test.ts";
const UPLOADER = "test/mobility/uploader.test.ts";

/** Faults of what goes out: uploads, tokens, heartbeats, the protocol to the guest. */
export const EDGE_MUTANTS: readonly Mutant[] = [
  {
    name: "what is uploaded moves over a gap",
    why: "a delta that is still under way counts as uploaded, and a crash loses it (rule 4)",
    file: "mobility/upload/uploader.ts",
    find: `const done = entries.slice(0, gap === -1 ? entries.length : gap);`,
    replace: `const done = entries.slice(0, gap === -1 ? entries.length : gap + 1);`,
    tests: [UPLOADER],
  },
  {
    name: "a spool file goes before its position is remembered",
    why: "a crash in between calls the spool damaged, and the service does not start",
    file: "mobility/upload/uploader.ts",
    find: `    await this.#options.uploaded(last.delta.end);
`,
    replace: `    for (const { delta } of done) removeSpoolFile(this.#options.files, delta);
    await this.#options.uploaded(last.delta.end);
`,
    tests: [UPLOADER],
  },
  {
    name: "a suspended uploader tries on",
    why: "a service that lost its session uploads beside its successor",
    file: "mobility/upload/uploader.ts",
    find: `if (this.#suspended && entry.state !== "done") {`,
    replace: `if (this.#suspended && entry.state === "waiting") {`,
    tests: [UPLOADER],
  },
  {
    name: "a suspended uploader keeps its grant",
    why: "a service that lost its session uploads beside its successor",
    file: "mobility/upload/uploader.ts",
    find: `  suspend(): void {
    this.#containerUrl = undefined;`,
    replace: `  suspend(): void {`,
    tests: [UPLOADER],
  },
  {
    name: "exists counts as uploaded",
    why: "another delta under the name passes for ours, and the only copy is deleted (rule 4)",
    file: "mobility/upload/uploader.ts",
    find: `        return this.#settle(delta, streamOver);`,
    replace: `        return;`,
    tests: [UPLOADER],
  },
  {
    name: "another delta under the name is tried again for ever",
    why: "nobody learns that two services write one item",
    file: "mobility/upload/uploader.ts",
    find: `    this.halt(error);
    throw error;`,
    replace: `    throw error;`,
    tests: [UPLOADER],
  },
  {
    name: "a refused credential is used on",
    why: "a grant that has ended is never renewed",
    file: "mobility/upload/uploader.ts",
    find: `if (this.#containerUrl === containerUrl) this.#containerUrl = undefined;`,
    replace: ``,
    tests: [UPLOADER],
  },
  {
    name: "any number of uploads is under way",
    why: "memory of the machine is exhausted (rule 9)",
    file: "mobility/upload/uploader.ts",
    find: `while (this.#workers.size < UPLOADS_IN_FLIGHT && this`,
    replace: `while (this.#workers.size < 1_000 * UPLOADS_IN_FLIGHT && this`,
    tests: [UPLOADER],
  },
  {
    name: "an upload of the old stream counts for the new one",
    why: "the new stream's first deltas leave the spool unsent (rule 4)",
    file: "mobility/upload/uploader.ts",
    find: `    if (entries !== this.#entries) return;
`,
    replace: ``,
    tests: [UPLOADER],
  },
  {
    name: "what halted the old stream halts the new one",
    why: "a second life is never uploaded",
    file: "mobility/upload/uploader.ts",
    find: `    this.#containerUrl = undefined;
    this.#stopped = undefined;`,
    replace: `    this.#containerUrl = undefined;`,
    tests: [UPLOADER],
  },
  {
    name: "the new stream is uploaded to the container of the old one",
    why: "its deltas stand in the way of another life",
    file: "mobility/upload/uploader.ts",
    find: `    this.#containerUrl = undefined;
    this.#stopped = undefined;`,
    replace: `    this.#stopped = undefined;`,
    tests: [UPLOADER],
  },
  {
    name: "a delta overwrites one that is there",
    why: "what was applied and what lies in the cache differ",
    file: "mobility/upload/put-blob.ts",
    find: `      "if-none-match": "*",
`,
    replace: ``,
    tests: ["test/mobility/put-blob.test.ts"],
  },
  {
    name: "a delta is sent without its checksum",
    why: "what was damaged on the way lies in the cache (rule 6)",
    file: "mobility/upload/put-blob.ts",
    find: `      "content-md5": delta.md5 ?? (await fileMd5(files, delta.path)),`,
    replace: `      "x-md5": delta.md5 ?? (await fileMd5(files, delta.path)),`,
    tests: ["test/mobility/put-blob.test.ts"],
  },
  {
    name: "any refusal counts as exists",
    why: "a grant without rights loses deltas (rule 4)",
    file: "mobility/upload/put-blob.ts",
    find: `if (answer.status === 409 && code === "") return { kind: "exists" };`,
    replace: `if (answer.status >= 400 && code === "") return { kind: "exists" };`,
    tests: ["test/mobility/put-blob.test.ts"],
  },
  {
    name: "the control plane is spoken to over plain http",
    why: "the token of the item travels in the clear",
    file: "mobility/system/guarded-url.ts",
    find: `(protocol === "http:" && /^(localhost|`,
    replace: `(protocol === "http:" || /^(localhost|`,
    tests: ["test/mobility/put-blob.test.ts"],
  },
  {
    name: "an unknown refusal is final",
    why: "an app that is being upgraded ends replication for good",
    file: "mobility/control/control-client.ts",
    find: `if (error?.code === undefined || status >= 500)
    return unavailable(action, status, error?.message ?? "no reason given");`,
    replace: `if (error === undefined) return unavailable(action, status, error?.message ?? "no reason given");`,
    tests: ["test/mobility/control-client.test.ts"],
  },
  {
    name: "a new token is used before it is durable",
    why: "a kill in between leaves a service that nobody knows",
    file: "mobility/control/item-tokens.ts",
    find: `  replaceFileDurably(files, path, Buffer.from(token), 0o600);
  return token;`,
    replace: `  void replaceFileDurably;
  return token;`,
    tests: ["test/mobility/item-tokens.test.ts"],
  },
  {
    name: "the exchange of a token is not durable",
    why: "after a power cut the service shows a token that counts no more",
    file: "mobility/control/item-tokens.ts",
    find: `      syncFolder(files, dirname(path));
      kept = next;`,
    replace: `      kept = next;`,
    tests: ["test/mobility/item-tokens.test.ts"],
  },
  {
    name: "a start position of other disks is taken",
    why: "the service seals what the target refuses",
    file: "mobility/control/registration.ts",
    find: `if (!samePosition(start, startPosition(itemId, stream, disks, nonce))) {`,
    replace: `if (start.stream !== stream || startPosition(itemId, stream, disks, nonce).epoch !== 0) {`,
    tests: ["test/mobility/registration.test.ts"],
  },
  {
    name: "an item is current although writes wait",
    why: "a point says that it is of now, and lacks the last minutes",
    file: "mobility/service/report.ts",
    find: `return capture.log.empty && uploader.waiting === 0 && capture.seeding.done;`,
    replace: `return capture.log.empty && capture.seeding.done;`,
    tests: ["test/mobility/service-in-memory.test.ts"],
  },
  {
    name: "a position is current at a time that has not come",
    why: "points of a clock that was set back lie in the future",
    file: "mobility/control/currency.ts",
    find: `samePosition(last.uploaded, uploaded) && last.atMs <= nowMs ?`,
    replace: `samePosition(last.uploaded, uploaded) && last.atMs <= nowMs + 1e15 ?`,
    tests: ["test/mobility/currency.test.ts"],
  },
  {
    name: "FUA of TRIM, CACHE and empty requests is ignored",
    why: "what the guest believes to be durable is lost at a power cut",
    file: "mobility/nbd/connection.ts",
    find: `(command.durable ? disk.flush() : undefined)`,
    replace: `(command.durable ? undefined : undefined)`,
    tests: ["test/mobility/nbd-server.test.ts"],
  },
  {
    name: "TRIM is no longer offered",
    why: "guests that were started with it do not start",
    file: "mobility/nbd/protocol.ts",
    find: `    TRANSMISSION.sendTrim |
`,
    replace: ``,
    tests: [NBD],
  },
  {
    name: "TRIM zeroes",
    why: "image and target differ: in version 1 a TRIM changes neither",
    file: "mobility/nbd/commands.ts",
    find: `    case COMMAND.trim:
    case COMMAND.cache:`,
    replace: `    case COMMAND.trim:
      return inside ? { kind: "zero", fua } : refuse(WIRE_ERROR.invalid);
    case COMMAND.cache:`,
    tests: [NBD],
  },
  {
    name: "FUA of a write is not read from the wire",
    why: "what the guest believes to be durable is lost at a power cut",
    file: "mobility/nbd/commands.ts",
    find: `const fua = (flags & COMMAND_FLAG.fua) !== 0;`,
    replace: `const fua = (flags & COMMAND_FLAG.fua) === 2;`,
    tests: [NBD],
  },
  {
    name: "a request may reach behind the disk",
    why: "the image grows, and the target refuses the delta",
    file: "mobility/nbd/commands.ts",
    find: `const inside = offsetBytes + lengthBytes <= sizeBytes;`,
    replace: `const inside = offsetBytes <= sizeBytes;`,
    tests: [NBD],
  },
  {
    name: "a request of any length is taken",
    why: "one client exhausts the memory of the service (rule 9)",
    file: "mobility/nbd/commands.ts",
    find: `      if (lengthBytes > NBD_REQUEST_MAX_BYTES) return refuse(WIRE_ERROR.invalid);
      if (!inside)`,
    replace: `      if (!inside)`,
    tests: [NBD],
  },
  {
    name: "everybody on the network reads the raw disk",
    why: "NBD asks for no password",
    file: "mobility/nbd/server.ts",
    find: `if (address.kind === "tcp" && !isLoopback(address.host)) {`,
    replace: `if (address.kind === "tcp" && !isLoopback("127.0.0.1")) {`,
    tests: ["test/mobility/nbd-server.test.ts"],
  },
  {
    name: "payloads that wait are not bounded",
    why: "guests exhaust the memory of the service (rule 9)",
    file: "mobility/nbd/byte-budget.ts",
    find: `return usedBytes >= limitBytes;
    },
    take`,
    replace: `return usedBytes >= limitBytes * 1_000_000;
    },
    take`,
    tests: ["test/mobility/nbd-server.test.ts"],
  },
  {
    name: "two overlapping ranges go at once",
    why: "image and log disagree about which came last (rule 1)",
    file: "mobility/disks/range-lock.ts",
    find: `if (blocked) await new Promise<void>((resolve) => (entry.grant = resolve));`,
    replace: `void blocked;`,
    tests: ["test/mobility/range-lock.test.ts"],
  },
  {
    name: "a freeze that failed still marks its epoch",
    why: "a point says application-consistent and is not",
    file: "mobility/consistency/app-points.ts",
    find: `const reason = fault === undefined ? mark(options, deadlineMs) : withOutput(fault);`,
    replace: `const reason = mark(options, deadlineMs) ?? (fault === undefined ? undefined : withOutput(fault));`,
    tests: ["test/mobility/app-points.test.ts"],
  },
  {
    name: "a machine stays frozen when its freeze failed",
    why: "protection becomes an outage",
    file: "mobility/consistency/app-points.ts",
    find: `    const thawFault = await thaw(script);`,
    replace: `    const thawFault = fault === undefined ? await thaw(script) : undefined;`,
    tests: ["test/mobility/app-points.test.ts"],
  },
  {
    name: "a script that others may change is run",
    why: "every user of the machine becomes root",
    file: "mobility/consistency/script.ts",
    find: `const others = (status.mode & 0o022) !== 0;`,
    replace: `const others = (status.mode & 0o022) < 0;`,
    tests: ["test/mobility/app-points.test.ts"],
  },
];
