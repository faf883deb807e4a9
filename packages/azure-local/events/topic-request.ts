import { LOCAL_RESOURCE_GROUP } from "./event.ts";

/** An event of a custom topic as subscribers get it. */
export interface TopicEvent {
  readonly topic: string;
  readonly subject: string;
  readonly eventType: string;
  readonly id: string;
  readonly eventTime: string;
  readonly data: unknown;
  readonly dataVersion: string;
  readonly metadataVersion: "1";
}

export interface TopicRequest {
  readonly method: string;
  readonly path: string;
  readonly apiVersion: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Undefined when it is longer than TOPIC_BODY_MAX_BYTES. */
  readonly body: string | undefined;
}

export type TopicAnswer =
  | { readonly kind: "accepted"; readonly events: readonly TopicEvent[] }
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly code: string;
      readonly message: string;
      readonly detail: string;
    };

export const topicId = (name: string): string => `${LOCAL_RESOURCE_GROUP}/providers/Microsoft.EventGrid/topics/${name}`;

/**
 * Event Grid's answer to a request to a topic of this name: pure. Codes and messages follow Azure's (azure-docs:
 * post-to-custom-topic).
 */
export function judgeRequest(request: TopicRequest, name: string, key: string): TopicAnswer {
  const { method, path, apiVersion, headers, body } = request;
  if (path !== "/api/events") return refused(404, "NotFound", "The resource was not found.");
  if (method !== "POST") return refused(405, "MethodNotAllowed", `The topic does not take ${method}.`);
  const given = headers["aeg-sas-key"];
  if (given === undefined) {
    const other = headers["aeg-sas-token"] ?? headers["authorization"];
    return other === undefined
      ? refused(
          401,
          "Unauthorized",
          "Request must contain one of the following authorization signature: aeg-sas-token, aeg-sas-key.",
        )
      : refused(401, "Unauthorized", "The local Event Grid takes the header aeg-sas-key only.", "NotSupported");
  }
  if (given !== key)
    return refused(401, "Unauthorized", `The request authorization key is not authorized for ${name.toUpperCase()}.`);
  if (apiVersion !== "2018-01-01")
    return refused(400, "BadRequest", "The local Event Grid has the api-version 2018-01-01 only.");
  if (body === undefined)
    return refused(413, "RequestEntityTooLarge", "The maximum size (1048576) of a request has been exceeded.");
  return judgeBody(body, topicId(name));
}

function judgeBody(body: string, topic: string): TopicAnswer {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return notConforming("The request content is no JSON.");
  }
  if (!Array.isArray(parsed)) return notConforming("Token Expected: StartArray, Actual Token Received: StartObject.");
  const events: TopicEvent[] = [];
  for (const [at, value] of (parsed as readonly unknown[]).entries()) {
    const event = typeof value === "object" && value !== null ? { ...value } : {};
    const fault = faultOf(event, topic);
    if (fault !== undefined) return notConforming(`Event at index ${at}: ${fault}`);
    const { id, subject, eventType, eventTime, data, dataVersion } = event as TopicEvent;
    events.push({
      topic,
      subject,
      eventType,
      id,
      eventTime,
      data,
      dataVersion: dataVersion ?? "",
      metadataVersion: "1",
    });
  }
  return { kind: "accepted", events };
}

/** Undefined for an event in the Event Grid schema. */
function faultOf(event: Readonly<Record<string, unknown>>, topic: string): string | undefined {
  for (const field of ["id", "subject", "eventType", "eventTime"]) {
    if (typeof event[field] !== "string" || event[field] === "")
      return `'${field}' is required and must be a string that is not empty.`;
  }
  if (Number.isNaN(Date.parse(String(event["eventTime"])))) return "'eventTime' is no time.";
  if (event["dataVersion"] !== undefined && typeof event["dataVersion"] !== "string")
    return "'dataVersion' must be a string.";
  if (event["topic"] !== undefined && event["topic"] !== "" && event["topic"] !== topic)
    return "'topic' must be the topic's own path or left out.";
  return event["metadataVersion"] === undefined || event["metadataVersion"] === "1"
    ? undefined
    : "'metadataVersion' must be 1 or left out.";
}

function notConforming(why: string): TopicAnswer {
  const message = `This resource is configured to receive event in 'EventGridEvent' schema. The JSON received does not conform to the expected schema. ${why}`;
  return refused(400, "BadRequest", message, "InputJsonInvalid");
}

function refused(status: number, code: string, message: string, detail = code): TopicAnswer {
  return { kind: "refused", status, code, message, detail };
}
