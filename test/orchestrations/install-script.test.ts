import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { readInstallCommand } from "../../local/supervisor/install-command.ts";
import { installSettings } from "../../orchestrations/activities/install-script.ts";
import { isInstallScriptUrl } from "../../replication/operations/install-script.ts";
import { enable, flowWorld } from "./world.ts";

const URL_OF_SCRIPT = "https://packages.invalid/v1/install-mobility.sh";
const SETTINGS = {
  itemId: "web-1",
  apiUrl: "https://app.invalid/api",
  registrationToken: "secret$(touch x)'\"`\n ünïcode".padEnd(200, "-"),
  disks: Array.from({ length: 65 }, (_value, at) => ({ id: `disk-${at}`, lun: at })),
};
const scriptOf = (settings: object): string => String(installSettings(URL_OF_SCRIPT, settings)["script"]);

/**
 * Runs the script as the extension's handler does: a file of mode 0500, in the folder into which the files were
 * downloaded.
 */
function run(script: string): {
  readonly folder: string;
  readonly output: readonly string[];
  readonly status: number | null;
} {
  const folder = mkdtempSync(join(tmpdir(), "leeward-install-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  // What it was called with, and what its own command line and that of the shell above it show.
  writeFileSync(
    join(folder, "install-mobility.sh"),
    'echo "$@"; tr "\\0" " " < /proc/$$/cmdline; echo; cat "$1" > received.json\n',
  );
  const file = join(folder, "script.sh");
  writeFileSync(file, Buffer.from(script, "base64"));
  chmodSync(file, 0o500);
  const { status, stdout } = spawnSync("/bin/sh", ["-c", file], { cwd: folder, encoding: "utf8" });
  return { folder, output: stdout.trimEnd().split("\n"), status };
}

describe("the script that the extension runs in the VM", () => {
  it("hands the settings whole to install-mobility.sh, in a file that only its owner may read, and on no command line", () => {
    const { folder, output, status } = run(scriptOf(SETTINGS));
    expect([status, output]).toEqual([0, ["leeward-settings.json", "sh ./install-mobility.sh leeward-settings.json"]]);
    expect(JSON.parse(readFileSync(join(folder, "received.json"), "utf8"))).toEqual(SETTINGS);
    expect(statSync(join(folder, "leeward-settings.json")).mode & 0o777).toBe(0o600);
  });

  it("is what a machine of the local cloud understands", () => {
    const settings = { ...SETTINGS, disks: [{ id: "os" }, { id: "data", lun: 3 }] };
    const text = Buffer.from(scriptOf(settings), "base64").toString("utf8");
    expect(readInstallCommand({ kind: "script", text })).toEqual(settings);
  });

  it("comes with the address that its file is downloaded from, which keeps its name", () => {
    expect(installSettings(URL_OF_SCRIPT, {})).toMatchObject({ fileUris: [URL_OF_SCRIPT] });
    expect([URL_OF_SCRIPT, `${URL_OF_SCRIPT}?sv=1`].map(isInstallScriptUrl)).toEqual([true, true]);
    expect(
      ["https://p.invalid/install.sh", "https://p.invalid/?install-mobility.sh", "no"].map(isInstallScriptUrl),
    ).toEqual([false, false, false]);
  });
});

describe("enabling protection in an app whose settings cannot install the service", () => {
  it.each([
    ["installScriptUrl", "LEEWARD_MOBILITY_SCRIPT_URL"],
    ["apiUrl", "LEEWARD_API_URL"],
  ])("is refused before anything is made: no %s", async (missing, setting) => {
    const world = flowWorld();
    const { management } = world.context;
    const before = [...world.resourceManager.resources.keys()];
    const { run: asked } = await world.ask(enable());
    Object.assign(management ?? {}, { [missing]: undefined });
    const job = await world.finish(asked);
    expect(job).toMatchObject({
      state: "Failed",
      errors: [{ taskName: "CheckPrerequisites", code: "configuration-invalid" }],
    });
    expect(job.errors[0]?.message).toContain(setting);
    expect([...world.resourceManager.resources.keys()]).toEqual(before);
  });
});
