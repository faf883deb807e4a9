import { randomBytes } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { connectBlobs } from "../../../azure/connections.ts";
import { openRecords } from "../../../azure/records.ts";
import { TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { itemContainer, manifestName, pinsName } from "../../../replication/names.ts";
import type { PointPins } from "../../../replication/points/pins.ts";
import { encodeRecord } from "../../../replication/records/envelope.ts";
import { placedRecords } from "../../../replication/records/placed-records.ts";
import type { Source } from "./source.ts";
import {
  type Answer,
  type CallOptions,
  ITEM,
  type Point,
  type World,
  proven,
  onSuiteEnd,
  startWorld,
} from "./world.ts";

const MIB = 1024 * 1024;
const ITEMS = "replicationProtectedItems";
const hex = (bytes: number): string => randomBytes(bytes).toString("hex");

/** What the API said, as far as it must be clear: the status, a closed code, a sentence, and what to do. */
function seen(answer: Answer): object {
  const { error } = (answer.body ?? {}) as {
    readonly error?: { readonly code: string; readonly message: string; readonly hint: string };
  };
  return {
    status: answer.status,
    code: error?.code ?? answer.text,
    message: error?.message,
    helps: (error?.hint ?? "").length > 20,
  };
}

const refusal = (status: number, code: string, names: string | RegExp = ""): object => {
  return { status, code, message: expect.stringMatching(names), helps: true };
};

describe("bad requests get a clear error that names what to do, and change nothing", () => {
  const onEnd = onSuiteEnd();
  let world: World;
  let source: Source;
  let point: Point;
  let call: World["operator"]["call"];
  beforeAll(async () => {
    world = await startWorld(onEnd);
    call = world.operator.call;
    source = await world.startSource();
    await source.write(20);
    point = await world.operator.pointOf(await source.uploaded());
  });
  const disks = [
    { id: "system", sizeBytes: 2 * MIB },
    { id: "data", sizeBytes: MIB - 512 * 7 },
  ];

  it("401: no key, a wrong key, a key for something else", async () => {
    const routes: readonly (readonly [string, string])[] = [
      ["GET", ITEMS],
      ["PUT", `${ITEMS}/other-vm`],
      ["GET", `${ITEMS}/${ITEM}`],
      ["GET", `${ITEMS}/${ITEM}/recoveryPoints`],
      ["POST", `${ITEMS}/${ITEM}/registrationToken`],
      ["POST", `${ITEMS}/${ITEM}/recoveryPoints/${point.name}/restore`],
      ["POST", `${ITEMS}/${ITEM}/restores/${"0".repeat(32)}/grantAccess`],
    ];
    for (const [method, path] of routes) {
      for (const key of ["", "wrong", `${world.cloud.secrets.functionKey}x`]) {
        expect((await call(method, path, { key })).status).toBe(401);
      }
    }
    expect((await call("GET", `${ITEMS}?code=wrong`, { key: "" })).status).toBe(401);
    expect(
      (await call("GET", ITEMS, { key: "", headers: { authorization: `Bearer ${world.cloud.secrets.functionKey}` } }))
        .status,
    ).toBe(401);
  });

  it("400: what is no JSON, of the wrong shape, or says what cannot be", async () => {
    const cases: readonly (readonly [CallOptions, string, string | RegExp])[] = [
      [{ raw: "{" }, "invalid-request", /not valid JSON/],
      [{ raw: "" }, "invalid-request", /has none/],
      [{ raw: "null" }, "invalid-request", /object/],
      [{ raw: "[]" }, "invalid-request", /object/],
      [{ raw: "\u0000\uffff" }, "invalid-request", /not valid JSON/],
      [{ raw: `{"disks":${"[".repeat(20_000)}` }, "invalid-request", /not valid JSON/],
      [{ raw: `{"disks":"${"x".repeat(70_000)}"}` }, "invalid-request", /at most 65536 bytes/],
      [{ body: {} }, "invalid-request", /disks/],
      [{ body: { disks: [] } }, "invalid-request", /1 to 65 disks/],
      [{ body: { disks, colour: "blue" } }, "invalid-request", /colour/],
      [{ body: { disks, policy: { recoveryPointHistorie: 5 } } }, "invalid-request", /recoveryPointHistorie/],
      [{ body: { disks: [{ ...disks[0], sizeBytes: "2" }] } }, "invalid-request", /disks\.0\.sizeBytes/],
      [{ raw: '{"disks":[{"id":"a","sizeBytes":1e400}]}' }, "invalid-request", /sizeBytes/],
      [{ body: { disks: [{ id: "../a", sizeBytes: MIB }] } }, "invalid-request", /disks\[0\]\.id/],
      [{ body: { disks: [disks[0], disks[0]] } }, "invalid-request", /appears twice/],
      [{ body: { disks: [{ id: "a", sizeBytes: 1000 }] } }, "disk-invalid", /multiple of 512/],
      [{ body: { disks: [{ id: "a", sizeBytes: 0 }] } }, "disk-invalid", /more than 0/],
      [{ body: { disks: [{ id: "a", sizeBytes: 512 * 7, sectorSizeBytes: 4096 }] } }, "disk-invalid", /sector size/],
      [{ body: { disks: [{ id: "a", sizeBytes: 8 * 1024 * 1024 * MIB }] } }, "disk-invalid", /at most/],
      [{ body: { disks, policy: { crashConsistentFrequencyInMinutes: 0 } } }, "invalid-request", /every 1 s/],
      [{ body: { disks, policy: { recoveryPointHistory: -1 } } }, "invalid-request", /kept/],
    ];
    for (const [options, code, names] of cases)
      expect(seen(await call("PUT", `${ITEMS}/other-vm`, options))).toEqual(refusal(400, code, names));
    expect(seen(await call("PUT", `${ITEMS}/${ITEM}`, { body: { disks: [disks[0]] } }))).toEqual(
      refusal(409, "item-exists", /other disks/),
    );
    const grown = [{ id: "system", sizeBytes: 4 * MIB }, disks[1]];
    expect(seen(await call("PUT", `${ITEMS}/${ITEM}`, { body: { disks: grown } }))).toEqual(
      refusal(409, "item-exists", /other disks/),
    );
    expect(seen(await call("GET", `${ITEMS}/other-vm`))).toEqual(refusal(404, "item-unknown"));
  });

  it("404: unknown items, points and restores, whatever their names are", async () => {
    for (const item of ["nobody", "x".repeat(37), "Upper", "a--b", "a..b", "a%2fb", "%00", "\u00fcml", "a%0d%0ab"]) {
      expect(seen(await call("GET", `${ITEMS}/${item}`))).toEqual(refusal(404, "item-unknown"));
      expect(seen(await call("GET", `${ITEMS}/${item}/recoveryPoints`))).toEqual(refusal(404, "item-unknown"));
      expect(seen(await call("POST", `${ITEMS}/${item}/registrationToken`))).toEqual(refusal(404, "item-unknown"));
      expect(seen(await call("POST", `${ITEMS}/${item}/recoveryPoints/${point.name}/restore`))).toEqual(
        refusal(404, "item-unknown"),
      );
      const beat = { headers: { authorization: "Bearer x" }, body: heartbeat(), key: "" };
      // A stranger does not learn whether there is such an item.
      expect(seen(await call("POST", `mobility/${item}/heartbeat`, beat))).toEqual(refusal(401, "not-authorized"));
    }
    for (const name of [
      "latest",
      `${point.name}0`,
      `${"9".repeat(15)}-00000000`,
      "..%2fitem.json",
      point.name.toUpperCase().replace("-", "_"),
    ]) {
      expect(seen(await call("POST", `${ITEMS}/${ITEM}/recoveryPoints/${name}/restore`))).toEqual(
        refusal(404, "point-unknown"),
      );
    }
    for (const name of ["x", "0".repeat(32), "..%2fprogress"]) {
      expect(seen(await call("GET", `${ITEMS}/${ITEM}/restores/${name}`))).toEqual(refusal(404, "restore-unknown"));
      expect(seen(await call("POST", `${ITEMS}/${ITEM}/restores/${name}/grantAccess`))).toEqual(
        refusal(404, "restore-unknown"),
      );
    }
    expect((await call("GET", "nothing")).status).toBe(404);
    expect((await call("DELETE", `${ITEMS}/${ITEM}`)).status).toBe(404);
  });

  it("400: a request id that was used for another point", async () => {
    const headers = { "x-ms-client-request-id": "one" };
    const first = await call("POST", `${ITEMS}/${ITEM}/recoveryPoints/${point.name}/restore`, { headers });
    const again = await call("POST", `${ITEMS}/${ITEM}/recoveryPoints/${point.name}/restore`, { headers });
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.headers.get("location")).toBe(first.headers.get("location"));
    await source.write(4);
    const other = await world.operator.pointOf(await source.uploaded());
    expect(seen(await call("POST", `${ITEMS}/${ITEM}/recoveryPoints/${other.name}/restore`, { headers }))).toEqual(
      refusal(400, "invalid-request", /used/),
    );
    const long = { "x-ms-client-request-id": "x".repeat(129) };
    expect(
      seen(await call("POST", `${ITEMS}/${ITEM}/recoveryPoints/${point.name}/restore`, { headers: long })),
    ).toEqual(refusal(400, "invalid-request"));
  });

  it("410: a point that retention is removing; 404 with the reason once it is gone", async () => {
    await source.write(4);
    const { name } = await world.operator.pointOf(await source.uploaded());
    const { connectionString } = world.cloud.storage.account(TARGET_ACCOUNT);
    const container = itemContainer(ITEM);
    const target = connectBlobs("TargetStorage", { kind: "connection-string", connectionString });
    const records = placedRecords(openRecords(target, container), container);
    // The first step of a deletion, as retention leaves it when it is killed there; the snapshots stay out, so that the
    // sweep finds nothing to remove.
    await records.put(
      pinsName(name),
      encodeRecord({ version: 1, state: "deleting", pins: [], snapshots: [] } satisfies PointPins),
    );
    const restore = (): Promise<Answer> => call("POST", `${ITEMS}/${ITEM}/recoveryPoints/${name}/restore`);
    expect(seen(await restore())).toEqual(refusal(410, "point-pruned", name));
    await records.remove(manifestName(name));
    expect(seen(await restore())).toEqual(refusal(404, "point-unknown", name));
  });

  it("401 and 400: a mobility service that is not the item's, or speaks nonsense", async () => {
    const registration = { registrationToken: hex(32), itemToken: hex(32), machineId: "m", bootId: "b", disks };
    const register = (body: object): Promise<Answer> => call("POST", `mobility/${ITEM}/register`, { body, key: "" });
    expect(seen(await register(registration))).toEqual(refusal(401, "not-authorized", /not one of this item/));
    expect(seen(await register({ ...registration, machineId: 7 }))).toEqual(
      refusal(400, "invalid-request", /machineId/),
    );
    for (const headers of [
      {},
      { authorization: "Bearer" },
      { authorization: `Bearer ${hex(32)}` },
      { authorization: `Basic ${hex(32)}` },
    ]) {
      expect(seen(await call("POST", `mobility/${ITEM}/heartbeat`, { headers, body: heartbeat(), key: "" }))).toEqual(
        refusal(401, "not-authorized"),
      );
      const settle = { stream: 1, epoch: 1, checksum: hex(32), sessionId: hex(16) };
      expect(seen(await call("POST", `mobility/${ITEM}/settle`, { headers, body: settle, key: "" }))).toEqual(
        refusal(401, "not-authorized"),
      );
    }
    // The function key opens nothing here: it is shared by all operators, and a service has a token of its own.
    expect(seen(await call("POST", `mobility/${ITEM}/heartbeat`, { body: heartbeat() }))).toEqual(
      refusal(401, "not-authorized"),
    );
  });

  it("nothing was lost: the item goes on, and its point is right", async () => {
    await source.write(20);
    const last = await world.operator.pointOf(await source.uploaded());
    const [prefixes, early] = await proven(world.operator, source, [last, point]);
    expect(prefixes).toContain(source.log.length);
    expect(early).toContain(20);
  });
});

describe("a registered service whose words cannot be true", () => {
  const onEnd = onSuiteEnd();
  let world: World;
  const disks = [{ id: "only", sizeBytes: MIB }];
  const itemToken = hex(32);
  /** The ticket stands before every token of the item. */
  const headers = () => ({ authorization: `Bearer ${registrationToken?.split(".")[0]}.${itemToken}` });
  const beat = (changes: object): Promise<Answer> =>
    world.operator.call("POST", "mobility/liar/heartbeat", {
      headers: headers(),
      body: { ...heartbeat(), ...changes },
      key: "",
    });
  let registrationToken: string | undefined;
  beforeAll(async () => {
    world = await startWorld(onEnd);
    registrationToken = await world.operator.protect(disks, "liar");
  });
  const register = (changes: object): Promise<Answer> => {
    const body = { registrationToken, itemToken, machineId: "m", bootId: "b", disks, ...changes };
    return world.operator.call("POST", "mobility/liar/register", { body, key: "" });
  };

  it("registers with the item's disks only, once, and again only with the token that it chose", async () => {
    for (const other of [
      [],
      [{ id: "only", sizeBytes: 2 * MIB }],
      [{ id: "else", sizeBytes: MIB }],
      [...disks, { id: "b", sizeBytes: MIB }],
    ]) {
      expect(seen(await register({ disks: other }))).toEqual(refusal(400, "invalid-request", /disks/));
    }
    expect(seen(await register({ itemToken: "short" }))).toEqual(refusal(400, "invalid-request", /itemToken/));
    expect((await register({})).status).toBe(200);
    expect((await register({})).status).toBe(200);
    expect(seen(await register({ itemToken: hex(32) }))).toEqual(refusal(401, "not-authorized"));
    const fresh = await world.operator.call("POST", `${ITEMS}/liar/registrationToken`);
    expect((await beat({})).status).toBe(200);
    registrationToken = (fresh.body as { readonly registrationToken: string }).registrationToken;
    expect((await register({})).status).toBe(200);
  });

  it("is refused, and neither status nor points break", async () => {
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ sentMs: -1 }, /sentMs/],
      [{ sentMs: 0.5 }, /sentMs/],
      [{ sentMs: "now" }, /sentMs/],
      [{ sentMs: Number.MAX_SAFE_INTEGER }, /sentMs/],
      [{ currentAtMs: Number.MAX_SAFE_INTEGER }, /currentAtMs/],
      [{ pendingBytes: -5 }, /pendingBytes/],
      [{ uploaded: { stream: 1, epoch: 1, checksum: "x" } }, /checksum/],
      [{ uploaded: undefined }, /uploaded/],
      [{ seeding: { doneBytes: -1, totalBytes: 0 } }, /seeding/],
      [{ bootId: "x".repeat(129) }, /bootId/],
    ];
    for (const [changes, names] of wrong)
      expect(seen(await beat(changes))).toEqual(refusal(400, "invalid-request", names));
    expect(seen(await settle({ epoch: 0 }))).toEqual(refusal(400, "invalid-request", /epoch/));
    expect(seen(await settle({ checksum: "x" }))).toEqual(refusal(400, "invalid-request", /checksum/));
    expect(seen(await settle({ stream: 2 }))).toEqual(refusal(409, "stream-closed"));
    expect((await world.operator.call("GET", `${ITEMS}/liar`)).status).toBe(200);
    expect((await world.operator.call("GET", `${ITEMS}/liar/recoveryPoints`)).status).toBe(200);
  });
  const settle = (changes: object): Promise<Answer> => {
    const body = { stream: 1, epoch: 1, checksum: hex(32), sessionId: heartbeat().sessionId, ...changes };
    return world.operator.call("POST", "mobility/liar/settle", { headers: headers(), body, key: "" });
  };

  it("a clock that is years off is warned of, and the item goes on", async () => {
    for (const sentMs of [0, Date.parse("9999-01-01")]) {
      // A single one may have been long on its way; the second is believed.
      for (let times = 0; times < 2; times += 1) {
        expect((await beat({ sentMs, currentAtMs: sentMs })).status).toBe(200);
      }
      const { status, body } = await world.operator.call("GET", `${ITEMS}/liar`);
      expect(status).toBe(200);
      expect((body as { readonly healthErrors: readonly object[] }).healthErrors).toContainEqual(
        expect.objectContaining({ code: "clock-skew" }),
      );
    }
  });
});

/** A heartbeat that is all right, with one session for all calls of this file. */
const SESSION = hex(16);
function heartbeat() {
  const uploaded = { stream: 1, epoch: 0, checksum: "0".repeat(64) };
  return { machineId: "m", bootId: "b", sessionId: SESSION, sentMs: Date.now(), uploaded, pendingBytes: 0 };
}
