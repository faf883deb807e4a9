import { INSTALL_SETTINGS_LINE_LENGTH } from "../../replication/limits.ts";
import { INSTALL_SCRIPT } from "../../replication/operations/install-script.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";

/**
 * The protected settings of the CustomScript extension. Its handler (Azure/custom-script-extension-linux,
 * `main/cmds.go`) downloads `fileUris` into a folder that only root may open, writes `script` there as a file with mode
 * 0500, and runs that file in that folder; a `commandToExecute` would be on a shell's command line, where every user of
 * the machine can read it. The script passes the settings, with the one-time token, through standard input. They end up
 * in a file beside it that only root may read; install-mobility.sh removes it (docs/local-machines.md).
 */
export function installSettings(scriptUrl: string, settings: object): ResourceJson {
  const encoded = Buffer.from(JSON.stringify(settings)).toString("base64");
  const lines = encoded.match(new RegExp(`.{1,${INSTALL_SETTINGS_LINE_LENGTH}}`, "g")) ?? [];
  const script = [
    "#!/bin/sh",
    "set -eu",
    "umask 077",
    "base64 -d > leeward-settings.json <<'SETTINGS'",
    ...lines,
    "SETTINGS",
    `exec sh ./${INSTALL_SCRIPT} leeward-settings.json`,
    "",
  ].join("\n");
  return { fileUris: [scriptUrl], script: Buffer.from(script).toString("base64") };
}
