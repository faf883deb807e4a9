import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connectNbd } from "../../mobility/nbd-client.ts";
import { replay } from "../../mobility/replay.ts";
import { createWorld, noise, parsedConfig, until, type World } from "./world.ts";

interface Message {
  readonly kind: string;
  readonly [field: string]: unknown;
}

interface RunningChild {
  readonly process: ChildProcess;
  readonly output: () => string;
  message(kind: string): Promise<Message>;
  exit(): Promise<number | null>;
}

function startChild(world: World, changes: object = {}): RunningChild {
  writeFileSync(world.configPath, JSON.stringify({ ...world.config, ...changes }));
  const child = fork("mobility/main.ts", ["--config", world.configPath], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const messages: Message[] = [];
  let output = "";
  child.stdout?.on("data", (text: Buffer) => (output += text.toString()));
  child.on("message", (message) => messages.push(message as Message));
  const exited = once(child, "exit").then(([code]) => code as number | null);
  return {
    process: child,
    output: () => output,
    message: async (kind) => {
      await until(`the child says ${kind}`, () => messages.some((message) => message.kind === kind));
      return messages.find((message) => message.kind === kind) ?? { kind };
    },
    exit: () => exited,
  };
}

describe("mobility process", () => {
  it("says ready, cuts on request with the position, and stops with everything uploaded", async () => {
    const world = await createWorld();
    const child = startChild(world, { nbd: { socketPath: world.socketPath, port: 0 } });
    const ready = await child.message("ready");
    expect(ready).toMatchObject({ socketPath: world.socketPath });
    const client = await connectNbd({ host: "127.0.0.1", port: Number(ready["port"]) }, "b-os");
    await client.write(0, noise(4096));
    child.process.send({ kind: "cut" });
    const { position } = await child.message("cut-done");
    expect(position).toMatchObject({ stream: 1, checksum: expect.stringMatching(/^[0-9a-f]{64}$/) });
    await client.write(4096, noise(4096));
    child.process.send({ kind: "stop" });
    expect(await child.exit()).toBe(0);
    const { images, end } = replay(world.cloud.blobs);
    expect(images.map((image, index) => image.equals(world.image(index)))).toEqual([true, true]);
    const status = JSON.parse(readFileSync(join(world.folder, "state", "status.json"), "utf8")) as object;
    expect(status).toMatchObject({ version: 1, sealed: end, uploaded: end, pendingBytes: 0, spoolCount: 0 });
    for (const line of child.output().trim().split("\n"))
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), event: expect.any(String) });
    expect(existsSync(world.socketPath)).toBe(false);
  });

  it("exits when the IPC channel closes, and on SIGTERM", async () => {
    const world = await createWorld();
    for (const end of [
      (child: ChildProcess) => child.disconnect(),
      (child: ChildProcess) => void child.kill("SIGTERM"),
    ]) {
      const child = startChild(world);
      await child.message("ready");
      end(child.process);
      expect(await child.exit()).toBe(0);
    }
  });

  it("takes over the lock and the socket of a service that was killed, but never those of one that lives", async () => {
    const world = await createWorld();
    const first = startChild(world);
    await first.message("ready");
    const second = startChild(world);
    expect(await second.message("failed")).toMatchObject({ error: { code: "state-locked" } });
    expect(await second.exit()).toBe(1);
    const elsewhere = startChild(world, { stateFolder: join(world.folder, "state-2") });
    expect(await elsewhere.message("failed")).toMatchObject({
      error: { code: "port-in-use", option: "nbd.socketPath" },
    });
    first.process.kill("SIGKILL");
    await first.exit();
    const third = startChild(world);
    await third.message("ready");
  });

  it("names what is wrong with the configuration and leaves nothing behind", async () => {
    const world = await createWorld();
    const taken = createServer();
    await new Promise<void>((resolve) => void taken.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void taken.close());
    const address = taken.address();
    const odd = join(world.folder, "odd.img");
    writeFileSync(odd, Buffer.alloc(1000));
    const large = join(world.folder, "large.img");
    writeFileSync(large, "");
    truncateSync(large, 8 * 1024 ** 4 - 1024 ** 2 + 512);
    const disk = (path: string) => ({ disks: [{ id: "a", path }] });
    const port = typeof address === "object" && address !== null ? address.port : 0;
    let attempt = 0;
    for (const [changes, code, words] of [
      [disk(join(world.folder, "missing.img")), "configuration-invalid", "does not exist"],
      [disk(odd), "disk-invalid", "1000 bytes"],
      [disk(large), "disk-invalid", "8796091974144 bytes"],
      [disk(world.folder), "configuration-invalid", "cannot be opened"],
      [{ nbd: { port } }, "port-in-use", "nbd.port"],
      [{ apiUrl: "http://example.com/api" }, "configuration-invalid", "https"],
      [{ registrationToken: "wrong" }, "not-authorized", "register"],
      [{ nbd: { socketPath: odd } }, "configuration-invalid", "not a socket"],
    ] as const) {
      const stateFolder = join(world.folder, `state-${(attempt += 1)}`);
      const child = startChild(world, { stateFolder, ...changes });
      const failed = await child.message("failed");
      expect(failed).toMatchObject({ error: { code } });
      expect(JSON.stringify(failed)).toContain(words);
      expect(await child.exit()).toBe(1);
      expect(existsSync(join(stateFolder, "lock"))).toBe(false);
    }
  });

  it("refuses a state folder of other disks", async () => {
    const world = await createWorld();
    const first = startChild(world);
    await first.message("ready");
    first.process.send({ kind: "stop" });
    await first.exit();
    truncateSync(world.images[0] ?? "", 4 * 1024 * 1024);
    const second = startChild(world);
    expect(await second.message("failed")).toMatchObject({ error: { code: "state-corrupt" } });
  });
});

describe("configuration", () => {
  const VALID = {
    itemId: "vm1",
    apiUrl: "http://127.0.0.1:7071/api",
    stateFolder: "/state",
    disks: [{ id: "os", path: "/os.img" }],
    nbd: { port: 0 },
  };

  it("fills in what may be left out", () => {
    expect(parsedConfig(VALID)).toMatchObject({
      epochMaxAgeMs: 5000,
      heartbeatMs: 5000,
      spoolMaxBytes: 16 * 1024 ** 3,
      disks: [{ sectorSizeBytes: 512 }],
    });
  });

  it.each([
    ["itemId", { itemId: "VM 1" }],
    ["apiUrl", { apiUrl: "http://10.0.0.1/api" }],
    ["apiUrl", { apiUrl: "nonsense" }],
    ["stateFolder", { stateFolder: "" }],
    ["disks", { disks: [] }],
    ["disks", { disks: [VALID.disks[0], VALID.disks[0]] }],
    ["disks[0].id", { disks: [{ id: "../os", path: "/os.img" }] }],
    ["disks[0].path", { disks: [{ id: "os" }] }],
    ["disks[0].size", { disks: [{ id: "os", path: "/os.img", size: 1 }] }],
    ["disks[0].sectorSizeBytes", { disks: [{ id: "os", path: "/os.img", sectorSizeBytes: 1024 }] }],
    ["nbd", { nbd: {} }],
    ["nbd.port", { nbd: { port: 70_000 } }],
    ["nbd.socketPath", { nbd: { socketPath: `/${"x".repeat(107)}` } }],
    ["epochMaxAgeMs", { epochMaxAgeMs: 1.5 }],
    ["spoolMaxBytes", { spoolMaxBytes: 1000 }],
    ["seedBytesPerSecond", { seedBytesPerSecond: 0 }],
    ["uploadBytesPerSecond", { uploadBytesPerSecond: "fast" }],
    ["typo", { typo: 1 }],
  ])("names %s when it is wrong", (option, changes) => {
    expect(() => parsedConfig({ ...VALID, ...changes })).toThrowError(
      expect.objectContaining({ code: "configuration-invalid", facts: expect.objectContaining({ option }) }),
    );
  });
});
