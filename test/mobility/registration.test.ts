import { describe, expect, it } from "vitest";
import { registerService, repeatRegistration } from "../../mobility/control/registration.ts";
import { REGISTER_ATTEMPTS } from "../../mobility/limits.ts";
import { LeewardError } from "../../replication/errors.ts";
import { type DiskDescription, type Position, startPosition } from "../../replication/position.ts";
import { createRandom } from "../memory/random.ts";
import { createVirtualTime } from "../memory/virtual-time.ts";
import { NONCE } from "./replay.ts";

const DISKS: readonly DiskDescription[] = [{ id: "os", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 }];

/** A service that is told to begin here, and what it kept of the answer. */
async function registered(start: Position, registrationToken: string | undefined = "once") {
  const kept: string[] = [];
  const position = await registerService({
    control: {
      register: async () => ({
        stream: 3,
        start,
        nonce: NONCE,
        ticket: "ticket",
        cacheEndpoint: "https://cache.example",
      }),
    },
    itemId: "web",
    tokens: { current: () => "token", keepTicket: (ticket) => void kept.push(ticket) },
    cacheAccount: { keep: (endpoint) => void kept.push(endpoint) },
    registrationToken,
    machineId: async () => "machine",
    bootId: "boot",
    disks: DISKS,
  });
  return { position, kept };
}

describe("registration", () => {
  it("begins where the control plane says, and keeps ticket and cache account", async () => {
    const start = startPosition("web", 3, DISKS, NONCE);
    expect(await registered(start)).toEqual({ position: start, kept: ["https://cache.example", "ticket"] });
  });

  it.each([
    ["of other disks", startPosition("web", 3, [{ id: "os", sizeBytes: 512, sectorSizeBytes: 512 }], NONCE)],
    ["of another item", startPosition("db", 3, DISKS, NONCE)],
    ["of another life", startPosition("web", 3, DISKS, "0".repeat(32))],
  ])("does not begin at a start position %s: the target would refuse all that is sealed", async (_name, start) => {
    await expect(registered(start)).rejects.toMatchObject({ code: "disk-invalid" });
  });

  it("is tried again while the control plane is away, and not without end", async () => {
    let tries = 0;
    const time = createVirtualTime(0, createRandom(1));
    const away = async (): Promise<never> => {
      tries += 1;
      throw new LeewardError("control-unavailable", "away");
    };
    const failures: unknown[] = [];
    const registering = repeatRegistration(
      away,
      time.process().clock,
      () => 0,
      (failure) => failures.push(failure),
    );
    await expect(time.finish(registering)).rejects.toMatchObject({ code: "control-unavailable" });
    expect(tries).toBe(REGISTER_ATTEMPTS);
    expect(failures).toHaveLength(REGISTER_ATTEMPTS - 1);
  });
});
