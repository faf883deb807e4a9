/**
 * Every limit of the local cloud with its reason: its own bounds, and those of Azure that an imitation must keep. Each
 * name ends with its unit.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

// --- The Functions host (functions-host) ---
/** Bytes of one request: the real host's web server takes 100 MiB. */
export const FUNCTIONS_BODY_MAX_BYTES = 100 * MIB;
/**
 * Requests under way at once: the real host answers 429 beyond 200 (host.json `maxOutstandingRequests` on the
 * Consumption plan).
 */
export const FUNCTIONS_HTTP_REQUESTS_MAX = 200;
/**
 * How long a queue message in work stays invisible, renewed halfway: the real host's ten minutes, also after its worker
 * was killed.
 */
export const FUNCTIONS_MESSAGE_INVISIBLE_MS = 600_000;
/** The first pause between two polls of an empty queue; it doubles up to host.json `maxPollingInterval`. */
export const FUNCTIONS_POLL_MIN_MS = 100;
/** How long a stop waits for running invocations before the host exits: its parent kills it soon after. */
export const FUNCTIONS_DRAIN_MS = 3_000;
/** How long the app's appTerminate hooks may take after that. */
export const FUNCTIONS_TERMINATE_MS = 500;
/**
 * Attempts per storage request of the host, the first pause and the longest: short, as the loops above retry anyway.
 */
export const FUNCTIONS_STORAGE_TRIES = 4;
export const FUNCTIONS_STORAGE_PAUSE_MS = 200;
export const FUNCTIONS_STORAGE_PAUSE_MAX_MS = 2_000;
/** The longest single sleep of a timer: a machine that was suspended is at most this late. */
export const FUNCTIONS_TIMER_SLEEP_MAX_MS = 30_000;

/**
 * Activities and episodes of orchestrators that run at once: the real host's default for activities on the Consumption
 * plan (host.json changes both).
 */
export const DURABLE_ACTIVITIES_MAX = 10;
export const DURABLE_EPISODES_MAX = 10;
/**
 * Longer durable timers are split into parts of the second length; both are the SDK's and the real host's values for
 * Azure Storage.
 */
export const DURABLE_TIMER_LONGEST_MS = 6 * 24 * 60 * 60_000;
export const DURABLE_TIMER_PART_MS = 3 * 24 * 60 * 60_000;
/** A custom status as JSON in UTF-16: the real host's limit. */
export const DURABLE_CUSTOM_STATUS_MAX_BYTES = 16 * KIB;
/** Azure Storage ends the real host's instance ids here. */
export const DURABLE_INSTANCE_ID_MAX_LENGTH = 100;
/**
 * Each episode replays the whole history: beyond this many events a warning suggests continueAsNew, repeated each time
 * it has doubled.
 */
export const DURABLE_HISTORY_WARNING_EVENTS = 5_000;
/** Messages per episode: bounds its transaction; the rest follows in the next one. */
export const DURABLE_EPISODE_MAX_MESSAGES = 256;
/** Instances of one hub, including ended ones until purged: their descriptions stay in memory, some 500 bytes each. */
export const DURABLE_INSTANCES_MAX = 200_000;
/**
 * Ended orchestrations beyond this many are purged, the oldest first: the history of one failover has some 100 KiB,
 * which makes 100 MiB on disk. Azure keeps them until they are purged.
 */
export const DURABLE_ENDED_MAX_COUNT = 1_000;
/** And after a week, time enough for an operator to check one. */
export const DURABLE_ENDED_MAX_AGE_MS = 7 * 24 * 60 * 60_000;
/** Instances per page of a listing unless the caller sets a number. */
export const DURABLE_PAGE_MAX_COUNT = 100;
/** How long a start waits for the previous process to release the state: killed processes end in moments. */
export const DURABLE_OPEN_MS = 5_000;
/** The longest wait of a start that asks for the result: Azure's front end cuts at 230 s. */
export const DURABLE_WAIT_MAX_MS = 230_000;

// --- Storage and events (storage, events) ---
/** How long a stop waits for running requests before it cuts their connections. */
export const STORAGE_CLOSE_MS = 3_000;
/** No account that is made later gets a port from here on: they are for outgoing connections. */
export const STORAGE_PORT_MAX = 32_000;
/** Bytes of one Put Page: Azure's own limit. */
export const PUT_PAGE_MAX_BYTES = 4 * MIB;
/** What Azure's page blobs take before they answer 503 (storage-blob-scale-targets); enabled by a switch only. */
export const AZURE_PAGE_BLOB_BYTES_PER_SECOND = 60 * MIB;
export const AZURE_PAGE_BLOB_REQUESTS_PER_SECOND = 500;
/** Content of one account with persistence "memory": far above any test, far below a laptop's memory. */
export const LOCAL_MEMORY_ACCOUNT_MAX_BYTES = 2 * 1024 * MIB;
/** A redo log shorter than this is not worth rewriting its database; reading it again takes a fraction of a second. */
export const LOCAL_REDO_LOG_MIN_BYTES = 16 * MIB;
/** Events waiting for delivery: hours of a demo without its destination. Further ones are dead-lettered at once. */
export const EVENTS_WAITING_MAX = 50_000;
/** Attempts per delivery, Azure's default, before dead-lettering. */
export const EVENT_ATTEMPTS_MAX = 30;
/**
 * The pause after the first failure; it doubles up to the second, which gives a lost destination about twelve minutes.
 */
export const EVENT_RETRY_FIRST_MS = 250;
export const EVENT_RETRY_MAX_MS = 30_000;
/** One delivery is one small message to the same machine. */
export const EVENT_DELIVERY_TIMEOUT_MS = 10_000;
/** Bytes of one request to a topic: Event Grid takes 1 MB. */
export const TOPIC_BODY_MAX_BYTES = MIB;
/** With the switch "reorder" each delivery waits a random part of this, so later events overtake it. */
export const EVENT_REORDER_MS = 2_000;
/** The log of waiting events is rewritten without the delivered ones at this size. */
export const EVENT_LOG_REWRITE_BYTES = 4 * MIB;
/** The dead-letter file ends here; later ones are only counted. */
export const EVENT_DEAD_LETTERS_MAX_BYTES = 16 * MIB;

// --- Resource Manager (resource-manager) ---
/** Bytes of one request: Resource Manager takes 4 MB. */
export const ARM_BODY_MAX_BYTES = 4 * MIB;
/** Decided operations kept, so that a late poll still gets its answer. */
export const ARM_OPERATIONS_KEPT = 5_000;
/**
 * Characters of the certificate in an operation's address: with its signatures the address has the 3.3 to 3.5 kB of
 * Azure's.
 */
export const ARM_OPAQUE_QUERY_BYTES = 2_700;
/** Resources per page of a listing; tests use fewer. */
export const ARM_PAGE_COUNT = 100;
/** Bytes of a disk read at once when it is imported, copied or downloaded. */
export const ARM_DISK_CHUNK_BYTES = 4 * MIB;
/** A managed disk has 1 to 32,767 GiB. */
export const ARM_DISK_MAX_GIB = 32_767;
/** Cores of one region, and of one family in it, unless a test changes it: Azure's usual first quotas. */
export const ARM_REGION_CORES = 100;
export const ARM_FAMILY_CORES = 50;
/** How long a network interface stays reserved for a machine that could not be made: Azure's 180 seconds. */
export const ARM_NIC_RESERVED_MS = 180_000;
/** Bytes of an import or a copy of a disk in a second, with durations by size: a page blob gives no more. */
export const ARM_IMPORT_BYTES_PER_SECOND = 60 * MIB;
/** What each disk adds to the creation or start of a machine, with durations by size. */
export const ARM_MACHINE_DISK_MS = 2_000;
/** The longest time that access to a disk may be granted for; Azure's own limit is far above any use. */
export const ARM_ACCESS_MAX_SECONDS = 7 * 24 * 60 * 60;
