import { spawn, type ChildProcess } from "node:child_process";
import { statSync } from "node:fs";
import { SCRIPT_OUTPUT_MAX_BYTES } from "../limits.ts";
import { processStartTime } from "../system/process-start.ts";

/** How one run of the script failed; undefined for exit code 0. */
export type ScriptFault = { readonly reason: string; readonly output: string };

/**
 * `--pre` brings applications and file systems to a consistent state and holds them there, `--post` releases them (Site
 * Recovery's customscript.sh).
 */
export type ScriptMode = "--pre" | "--post";

/**
 * Runs the script without a shell, with its mode as the only argument and only a plain search path in its environment.
 * It gets its own process group, which is killed as a whole on timeout or when `signal` is aborted. `started` gets a
 * process name for `killScript`. Never rejects.
 */
export function runScript(
  path: string,
  mode: ScriptMode,
  timeoutMs: number,
  signal: AbortSignal,
  started: (process: string) => void = () => undefined,
): Promise<ScriptFault | undefined> {
  const unsafe = unsafeReason(path);
  if (unsafe !== undefined) return Promise.resolve({ reason: unsafe, output: "" });
  return new Promise((resolve) => {
    let output = "";
    let ended = false;
    const child = spawn(path, [mode], {
      shell: false,
      detached: true,
      cwd: "/",
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    if (child.pid !== undefined) started(processName(child.pid));
    const end = (reason: string | undefined): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(reason === undefined ? undefined : { reason, output });
    };
    const giveUp = (reason: string): void => {
      killGroup(child);
      end(reason);
    };
    const abort = (): void => giveUp(`${mode} was given up`);
    const timer = setTimeout(() => giveUp(`${mode} did not end within ${timeoutMs / 1000} s`), timeoutMs);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (part: Buffer) => (output = (output + part.toString("utf8")).slice(-SCRIPT_OUTPUT_MAX_BYTES)));
    }
    child.on("error", (error: NodeJS.ErrnoException) => end(`${mode} cannot be run: ${error.code ?? error.message}`));
    // `exit` and not `close`: a child of the script that keeps its output open must not keep the guest frozen.
    child.on("exit", (code, by) => end(code === 0 ? undefined : `${mode} ended with ${by ?? `exit code ${code}`}`));
  });
}

/** Kills a script that an earlier service left running when it died: it must not freeze anything any more. */
export function killScript(name: string): void {
  const id = Number(/^\d+/.exec(name)?.[0]);
  // A recycled process id is another process.
  if (id > 1 && name === processName(id)) killGroup({ pid: id });
}

const processName = (id: number): string => `${id} ${processStartTime(id) ?? ""}`;

/** As sudo and cron do: a user who can change the script could run anything with the service's rights. */
function unsafeReason(path: string): string | undefined {
  try {
    const status = statSync(path);
    if (!status.isFile()) return `${path} is no file`;
    const others = (status.mode & 0o022) !== 0;
    const owned = status.uid === 0 || status.uid === process.getuid?.();
    return others || !owned ? `${path} can be changed by others than the owner of the service` : undefined;
  } catch {
    return `${path} does not exist`;
  }
}

/** The script leads its own group; it does not matter whether any of it is left. */
function killGroup({ pid }: Pick<ChildProcess, "pid">): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group is already gone.
  }
}
