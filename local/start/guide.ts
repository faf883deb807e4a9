import { relative } from "node:path";
import type { Cloud } from "../supervisor/cloud.ts";
import type { MobilityService } from "../supervisor/mobility-service.ts";

export interface GuideFacts {
  readonly cloud: Cloud;
  readonly mobility: MobilityService;
  readonly itemId: string;
  readonly diskIds: readonly string[];
  readonly connectionFile: string;
  readonly writer: boolean;
}

/**
 * The addresses of everything and how to call it. The only secret shown is the function key, which opens only this
 * cloud on this machine.
 */
export function guideText({ cloud, mobility, itemId, diskIds, connectionFile, writer }: GuideFacts): string {
  const api = `${cloud.app.url}/api/replicationProtectedItems/${itemId}`;
  const key = cloud.secrets.functionKey;
  const { address, tcpPort } = mobility;
  const nbd = diskIds.flatMap((id) => [
    ...(address.kind === "unix" ? [`nbd+unix:///${id}?socket=${address.path}`] : []),
    ...(tcpPort === undefined ? [] : [`nbd://127.0.0.1:${tcpPort}/${id}`]),
  ]);
  const storage = cloud.storage.accounts.map(
    ({ name, region, blobUrl, queueUrl }) => `${name} (${region})  ${blobUrl}  ${queueUrl}`,
  );
  return [
    "",
    block("function app", [`${cloud.app.url}/api`, `function key ${key}`]),
    block("storage", [...storage, `connection strings: ${relative(".", connectionFile)}`]),
    block("resource manager", [`${cloud.resourceManager.url}/subscriptions/${cloud.resourceManager.subscriptionId}`]),
    block("event topic", [cloud.topic.endpoint]),
    block("disks over NBD", nbd),
    block("logs", [`${relative(".", cloud.logFolder)}/`]),
    "",
    "  Try in another window:",
    `    curl -H "x-functions-key: ${key}" ${api}`,
    `    curl -H "x-functions-key: ${key}" ${api}/recoveryPoints`,
    `    npm run leeward -- points ${itemId}`,
    `    npm run leeward -- restore ${itemId} latest --to ./restored`,
    `    nbdinfo "${nbd[0] ?? ""}"`,
    "",
    writer
      ? "  A guest writes a little all the time. Ctrl-C stops everything."
      : "  Nobody writes to these disks until you do. Ctrl-C stops everything.",
    "",
  ].join("\n");
}

function block(name: string, lines: readonly string[]): string {
  return lines.map((line, at) => `  ${(at === 0 ? name : "").padEnd(16)} ${line}`).join("\n");
}
