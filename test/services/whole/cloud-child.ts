import { startCloud } from "../../../local/supervisor/cloud.ts";
import type { CloudPorts } from "../../../local/supervisor/ports.ts";

/**
 * The supervisor as a process that is made to be killed: `node cloud-child.ts FOLDER PORTS SCHEDULES`, the last two as
 * JSON.
 */
const [folder = "", ports = "", schedules = ""] = process.argv.slice(2);
try {
  const cloud = await startCloud({
    folder,
    ports: JSON.parse(ports) as CloudPorts,
    persistence: "disk",
    schedules: JSON.parse(schedules) as { readonly points: string; readonly sweep: string },
    random: Math.random,
  });
  process.on("message", () => void cloud.stop().then(() => process.exit(0)));
  process.send?.({ kind: "ready", url: cloud.app.url, functionKey: cloud.secrets.functionKey });
} catch (error) {
  process.send?.({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
}
// The test that started this process ends it; when that test dies, so does this.
process.on("disconnect", () => process.exit(1));
