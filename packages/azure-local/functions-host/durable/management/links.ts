/** Where the management API answers, and what its links have. */
export interface ManagementAddress {
  /** `http://host:port/runtime/webhooks/durabletask`. */
  readonly baseUrl: string;
  readonly hubName: string;
  /** The system key that opens it. */
  readonly key: string;
}

/** The part of links that the SDK replaces by an instance id. */
const INSTANCE_PLACEHOLDER = "INSTANCEID";
const CONNECTION = "Storage";

const requiredQuery = ({ key }: ManagementAddress): string => `code=${key}`;

/** All links of one instance. */
function linksOf(address: ManagementAddress, id: string, encodedId: string) {
  const query = `taskHub=${address.hubName}&connection=${CONNECTION}&${requiredQuery(address)}`;
  const instance = `${address.baseUrl}/instances/${encodedId}`;
  return {
    id,
    statusQueryGetUri: `${instance}?${query}`,
    sendEventPostUri: `${instance}/raiseEvent/{eventName}?${query}`,
    terminatePostUri: `${instance}/terminate?reason={text}&${query}`,
    rewindPostUri: `${instance}/rewind?reason={text}&${query}`,
    purgeHistoryDeleteUri: `${instance}?${query}`,
    restartPostUri: `${instance}/restart?${query}`,
    suspendPostUri: `${instance}/suspend?reason={text}&${query}`,
    resumePostUri: `${instance}/resume?reason={text}&${query}`,
  };
}

/** The answer to a start; links lead back to the caller's address. */
export function checkStatusPayload(
  address: ManagementAddress,
  instanceId: string,
  origin: string,
): Readonly<Record<string, string>> {
  const base = new URL(address.baseUrl);
  const { rewindPostUri: _rewind, ...links } = linksOf(
    { ...address, baseUrl: origin + base.pathname },
    instanceId,
    encodeURIComponent(instanceId),
  );
  return links;
}

/**
 * What the `durableClient` binding gives to a function. With `rpcBaseUrl`, which ends in a slash, the SDK sends all
 * calls there.
 */
export function clientData(address: ManagementAddress, rpcBaseUrl: string): unknown {
  const create = `${address.baseUrl}/orchestrators/{functionName}[/{instanceId}]`;
  const query = requiredQuery(address);
  return {
    taskHubName: address.hubName,
    creationUrls: {
      createNewInstancePostUri: `${create}?${query}`,
      createAndWaitOnNewInstancePostUri: `${create}?timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}&${query}`,
    },
    managementUrls: linksOf(address, INSTANCE_PLACEHOLDER, INSTANCE_PLACEHOLDER),
    baseUrl: address.baseUrl,
    requiredQueryStringParameters: query,
    rpcBaseUrl,
  };
}
