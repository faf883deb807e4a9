import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { until } from "../services/whole/until.ts";

/** A guest waits so long for a mobility service that is being started again before it sees an I/O error. */
const RECONNECT_SECONDS = 120;
const QEMU = "qemu-system-x86_64";
const MARK = /^MARK (\d+) ([0-9a-f]{64})$/;

/** What the guest said: file `number` was durable at `atMs` at the latest, and read back with this SHA-256. */
export interface Mark {
  readonly number: number;
  readonly hash: string;
  /** When this process read it, Unix milliseconds. */
  readonly atMs: number;
}

export interface MachineOptions {
  /** Counts the boots of the guest. */
  readonly boot: number;
  readonly kernelPath: string;
  readonly initramfsPath: string;
  /** Of the mobility service's NBD server. */
  readonly socketPath: string;
  /** Names of the exports: the disk with the file system, and the one for records. */
  readonly exports: readonly [string, string];
  /** How many files fit on the disk. */
  readonly files: number;
  /** Gets the kernel's messages. */
  readonly consoleFile: string;
}

/** A booted guest: one process of QEMU, which emulates the processor, so that no machine is too poor for it. */
export interface Machine {
  /** The files that the guest found when it mounted its disk. */
  readonly found: number;
  /** Oldest first; grows. */
  readonly marks: readonly Mark[];
  /** Waits until the guest marked file `number`. */
  reaches(number: number): Promise<void>;
  /** SIGKILL of QEMU: for the guest the power is gone. */
  cutPower(): Promise<void>;
}

/** Boots the guest; done when it has mounted its disk and looked what is there. */
export async function bootMachine(
  options: MachineOptions,
  onEnd: (undo: () => Promise<void>) => void,
): Promise<Machine> {
  const qemu = spawn(QEMU, qemuParameters(options), { stdio: ["ignore", "pipe", "pipe"] });
  const lines = createInterface({ input: qemu.stdout });
  let complaints = "";
  qemu.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
  let ended = false;
  // What the guest had said by then is read to the end.
  const gone = Promise.allSettled([once(qemu, "exit"), once(lines, "close")]).then(() => (ended = true));
  let failure: string | undefined;
  qemu.on("error", (error) => (failure ??= error.message));
  const cutPower = async (): Promise<void> => {
    qemu.kill("SIGKILL");
    await gone;
  };
  onEnd(cutPower);

  const marks: Mark[] = [];
  let found: number | undefined;
  lines.on("line", (line) => {
    const [, number, hash] = MARK.exec(line.trim()) ?? [];
    if (hash !== undefined) marks.push({ number: Number(number), hash, atMs: Date.now() });
    else if (line.startsWith("FOUND ")) found = Number(line.slice(6));
    // The last line of a killed machine may be half of one.
    else if (!qemu.killed) failure ??= line;
  });
  const check = (): void => {
    if (failure === undefined && !ended) return;
    const what = failure === undefined ? "is gone" : `says: ${failure}`;
    const kernel = existsSync(options.consoleFile) ? readFileSync(options.consoleFile, "utf8").slice(-2000) : "";
    throw new Error(`the guest of boot ${options.boot} ${what}\n${complaints}\n${kernel}`);
  };
  const files = await until("the guest has booted", async () => {
    check();
    return found;
  });
  return {
    found: files,
    marks,
    reaches: (number) =>
      until(`the guest marks file ${number}`, async () => {
        if ((marks.at(-1)?.number ?? 0) >= number) return true;
        check();
        return undefined;
      }).then(() => undefined),
    cutPower,
  };
}

function qemuParameters(options: MachineOptions): readonly string[] {
  const disks = options.exports.flatMap((name, index) => {
    const server = { type: "unix", path: options.socketPath };
    const drive = { driver: "nbd", "node-name": name, server, export: name, "reconnect-delay": RECONNECT_SECONDS };
    // The slot decides which disk is vda.
    return ["-blockdev", JSON.stringify(drive), "-device", `virtio-blk-pci,drive=${name},addr=${4 + index}`];
  });
  const machine = "-accel tcg -machine q35 -m 256 -nodefaults -no-user-config -display none -no-reboot".split(" ");
  const program = ["-kernel", options.kernelPath, "-initrd", options.initramfsPath];
  const commandLine = `console=ttyS0 loglevel=5 panic=-1 BOOT=${options.boot} FILES=${options.files}`;
  return [
    ...machine,
    ...program,
    "-append",
    commandLine,
    "-serial",
    `file:${options.consoleFile}`,
    "-serial",
    "stdio",
    ...disks,
  ];
}
