/**
 * Every limit of the product with its reason; no other code sets one. The limits of the local cloud, a program of its
 * own, are in local/limits.ts. Names end in their unit.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 * 1024 * MIB;

// --- Disks (Azure: "Scalability and performance targets for Blob storage") ---
/** Page blobs and NBD exports are addressed in pages of this size. */
export const SECTOR_BYTES = 512;
/** Azure imports a VHD only when its size is whole MiB. */
export const DISK_ROUNDING_BYTES = MIB;
/** A page blob holds 8 TiB; one MiB is reserved for rounding and the footer. */
export const DISK_MAX_BYTES = 8 * TIB - MIB;
/** A fixed VHD ends in a footer of this size (Microsoft VHD specification, "Hard Disk Footer Format"). */
export const VHD_FOOTER_BYTES = 512;
/** Site Recovery protects VMs with up to 64 data disks; Azure's largest sizes take as many. */
export const DATA_DISKS_MAX_COUNT = 64;
/** The data disks and the OS disk. */
export const DISKS_MAX_COUNT = DATA_DISKS_MAX_COUNT + 1;

// --- Positions (docs/delta-format.md) ---
/** Streams are stored in 32 bits; every such number fits the ten digits of a name. */
export const STREAM_MAX = 2 ** 32 - 1;
/** Names give an epoch twelve digits. */
export const EPOCH_MAX = 999_999_999_999;

// --- Delta files (docs/delta-format.md) ---
/** One Put Blob carries the delta and one worker holds it in memory. */
export const DELTA_MAX_BYTES = 64 * MIB;
/** A frame decodes on its own; this bounds the memory of a decoder. */
export const FRAME_MAX_PLAIN_BYTES = MIB;
/** An epoch with more extents is cut: this bounds the index of the open epoch and the table of the file. */
export const EPOCH_MAX_EXTENTS = 65_536;
/**
 * Plain bytes of all data extents of one file: bounds the work that a small hostile file can cause. An epoch of
 * EPOCH_MAX_DATA_BYTES fits.
 */
export const DELTA_MAX_PLAIN_BYTES = 64 * MIB;
/**
 * Extents of one file: an epoch's own, plus one for each 4 KiB grain that splitting zeros can cut off, with a margin.
 */
export const DELTA_MAX_EXTENTS = 2 * EPOCH_MAX_EXTENTS;
/** Each data extent has one frame per started MiB. */
export const DELTA_MAX_FRAMES = DELTA_MAX_EXTENTS + DELTA_MAX_PLAIN_BYTES / FRAME_MAX_PLAIN_BYTES;
/** Shorter runs of zeros stay data: a separate extent would take about as many bytes as zstd does. */
export const ZERO_GRAIN_BYTES = 4 * KIB;

/** The last millisecond of the year 9999: later times have no ISO 8601 text of four-digit years. */
export const TIME_MAX_MS = 253_402_300_799_999;

// --- Applying (docs/architecture.md) ---
/** Azure's Put Page takes at most 4 MiB. */
export const PUT_PAGE_MAX_BYTES = 4 * MIB;
/** Encoded bytes of one batch: many small deltas share it, and one full delta always fits behind them. */
export const BATCH_MAX_BYTES = 16 * MIB;
/** Deltas of one batch: bounds the reads before the first write. */
export const BATCH_MAX_DELTAS = 64;
/** Page writes in flight for one item: 8 x 4 MiB is the memory they pin. */
export const PAGE_WRITES_IN_FLIGHT = 8;
/**
 * Decoded frames of one batch, kept from their check until their pages are written: an epoch of 5 s is rarely larger.
 */
export const FRAMES_HELD_MAX_BYTES = 32 * MIB;
/** How long a claim holds without renewal; then the sweep frees it. */
export const CLAIM_MS = 30_000;
/**
 * A claim that seems to hold for longer was made before the clock was set back. The clocks of two instances differ by
 * far less.
 */
export const CLAIM_HELD_MAX_MS = 2 * CLAIM_MS;
/** A queue handler hands over after this time, far below the host's ten minutes. */
export const SLICE_MS = 60_000;
/** Claims that one run may raise after unknown outcomes before it returns the message to the queue. */
export const CLAIMS_PER_RUN = 4;
/**
 * A claim is renewed when less than this is left, so that one slow request (STORE_WRITE_MS) can still finish before it
 * expires.
 */
export const CLAIM_RENEW_MS = 2 * (CLAIM_MS / 3);
/** Extents of one batch: bounds the memory and the time of merging; one delta always fits. */
export const BATCH_MAX_EXTENTS = 65_536;
/**
 * Zeros up to this length go inside a Put Page where that saves an operation: a request costs about as much as sending
 * them.
 */
export const ZERO_FILL_MAX_BYTES = 64 * KIB;
/** Disks fenced or snapshotted at the same time: one request each, far below the store's limits. */
export const DISK_REQUESTS_IN_FLIGHT = 8;

// --- Recovery points (docs/architecture.md) ---
/** Names on one page when points are listed. */
export const POINT_LIST_PAGE_MAX_COUNT = 1_000;
/** Pages read at most: 15 days of points every 5 minutes, with pins, are 9 pages even before pruning. */
export const POINT_LIST_PAGES_MAX = 64;
/**
 * Disks of all manifests that a process caches, enough for the points of a thousand machines of two disks, and the
 * memory of one, including its share of the overhead.
 */
export const POINT_CACHE_MAX_DISKS = 100_000;
export const POINT_CACHE_DISK_BYTES = 384;
/** An item whose points were not listed for this long is swept by another process, or gone. */
export const POINT_CACHE_KEPT_MS = 60 * 60_000;
/** Manifests read at the same time when points are listed. */
export const POINT_READS_IN_FLIGHT = 8;

// --- Protected items (replication/items; Site Recovery's limits of replication policies) ---
/**
 * A crash-consistent point at most every second: snapshots of one blob have millisecond ids and are taken one by one.
 */
export const POINT_INTERVAL_MIN_MS = 1_000;
/** An interval longer than a day would leave Site Recovery's shortest retention without a point. */
export const POINT_INTERVAL_MAX_MS = 24 * 60 * 60_000;
/** Site Recovery's fixed frequency of crash-consistent points. */
export const POINT_INTERVAL_DEFAULT_MS = 5 * 60_000;
/** Site Recovery keeps points of managed disks for at most 15 days, and for one day by default. */
export const RETENTION_MAX_MS = 15 * 24 * 60 * 60_000;
export const RETENTION_DEFAULT_MS = 24 * 60 * 60_000;
/** Tokens are two ids or 64 hex digits; anything much longer is not a token and is not hashed. */
export const TOKEN_MAX_LENGTH = 256;
/**
 * Hex digits of the ticket before each token (128 bits): strangers cannot guess one, and its holder still needs the
 * token.
 */
export const TICKET_DIGITS = 32;
/** Machine, boot and request ids that a caller may send: GUIDs and cloud instance names are far shorter. */
export const CALLER_ID_MAX_LENGTH = 128;
/**
 * App-consistent points freeze the guest's applications for a moment: Site Recovery allows one an hour, and its portal
 * at least one in 12 hours.
 */
export const APP_POINT_INTERVAL_MIN_MS = 60 * 60_000;
export const APP_POINT_INTERVAL_MAX_MS = 12 * 60 * 60_000;
/**
 * Operations remembered per item, so that a repeated request starts nothing again: far more than are ever repeated at
 * one time.
 */
export const OPERATIONS_MAX_COUNT = 16;
/**
 * No other service gets the session of one that was heard from within this time. It is four of its longest waits
 * (BACK_OFF_MAX_MS), so that a bad network costs it nothing, and about the time a machine takes to restart, so that a
 * new boot hardly waits.
 */
export const SESSION_LEASE_MS = 60_000;
/** A token that leaked unnoticed is worthless after this time; each exchange costs two heartbeats. */
export const TOKEN_MAX_AGE_MS = 30 * 24 * 60 * 60_000;
/** Text of a failure that a service may report; it is shown to operators. */
export const REPORTED_REASON_MAX_LENGTH = 500;
/** Compare-and-set rounds on one record before `conflict`: each lost round means that another writer made progress. */
export const RECORD_CHANGES_MAX_TRIES = 8;

// --- Health of an item (replication/items/status.ts) ---
/** Heartbeats come every few seconds; after a minute several in a row are missing. */
export const HEARTBEAT_LATE_MS = 60_000;
/** Site Recovery's usual threshold of a recovery point objective is fifteen minutes: too long for a hiccup. */
export const HEARTBEAT_LOST_MS = 15 * 60_000;
/** A recovery point objective above these makes the replication health Warning and Critical. */
export const RPO_WARNING_MS = 15 * 60_000;
export const RPO_CRITICAL_MS = 60 * 60_000;
/** A point is overdue after this many intervals, so that one slow batch is no alarm ... */
export const POINT_OVERDUE_INTERVALS = 3;
/** ... and never earlier than this, because timers run every few minutes. */
export const POINT_OVERDUE_MIN_MS = 15 * 60_000;
/** Source clocks that differ more than this from the target's make the times of recovery points misleading. */
export const CLOCK_SKEW_WARNING_MS = 5 * 60_000;
/** A source clock that is a day ahead of the target's is set wrong: the current time it reports is ignored. */
export const SOURCE_CLOCK_AHEAD_MAX_MS = 24 * 60 * 60_000;

// --- Retention of recovery points (replication/points; Site Recovery's pruning table) ---
/** Every point of the last two hours is kept. */
export const RETENTION_ALL_MS = 2 * 60 * 60_000;
/** Then one per hour when points are kept for a day ... */
export const RETENTION_DAY_MS = 24 * 60 * 60_000;
export const RETENTION_DAY_BUCKET_MS = 60 * 60_000;
/** ... one per two hours up to the seventh day when they are kept longer ... */
export const RETENTION_WEEK_MS = 7 * 24 * 60 * 60_000;
export const RETENTION_WEEK_BUCKET_MS = 2 * 60 * 60_000;
/**
 * ... and one per four hours beyond it. Each bucket is a multiple of the finer one, so that thinning again keeps what
 * was kept.
 */
export const RETENTION_LATE_BUCKET_MS = 4 * 60 * 60_000;
/**
 * No point is removed before every request that made it has settled for good (tries x time of a small write, plus a
 * margin).
 */
export const POINT_SETTLE_MS = 2 * 60_000;
/**
 * Points that one call of pruning removes: twice as many as POINT_INTERVAL_MIN_MS lets a machine make in the half
 * minute between two sweeps ...
 */
export const PRUNE_MAX_POINTS = 64;
/**
 * ... and snapshots, each a request: this removes fewer points of a machine with many disks, which cannot make them as
 * often.
 */
export const PRUNE_MAX_SNAPSHOTS = 512;
/** Holders of one point: restores, also those of failovers. Test failovers are not built yet. */
export const PINS_MAX_COUNT = 64;

// --- Sweep (replication/sweep/sweep.ts) ---
/**
 * Names of an item's cache container that one sweep reads: four batches, so that a backlog never makes a sweep slow.
 */
export const SWEEP_CACHE_MAX_NAMES = 256;
/** Blobs that one sweep quarantines or removes: each may be 64 MiB to copy or to compare. */
export const SWEEP_CACHE_MAX_CHANGES = 16;
/** A later delta may wait this long for the one before it: uploads run in parallel and back off for 15 s at most. */
export const GAP_MAX_MS = 10 * 60_000;
/** A worker that lost its claim has settled long before this: snapshots without a manifest are then waste. */
export const ORPHAN_GRACE_MS = 60 * 60_000;
/** Snapshots without a manifest that one sweep removes. */
export const SWEEP_MAX_SNAPSHOTS = 64;
/** A tombstone outlives every request that could still write the manifest under its name. */
export const TOMBSTONE_MS = 7 * 24 * 60 * 60_000;
/**
 * An earlier stream's containers stay this long: twice as long as any grant to one of them is valid, and far longer
 * than a worker stays warm.
 */
export const OLD_STREAM_KEEP_MS = 2 * 60 * 60_000;
/** Containers of earlier streams that one sweep removes in each account: a repair leaves one. */
export const SWEEP_MAX_STREAMS = 8;
/** Journal entries that one sweep removes: more than two minutes of epochs at five seconds each. */
export const SWEEP_MAX_JOURNAL = 128;

// --- Restore (replication/restore) ---
/** The pause between two polls: copies inside one account end in moments or take hours. */
export const RESTORE_POLL_MS = 2_000;
/** A restore without progress for this long has lost its message: the sweep sends a new one. */
export const RESTORE_STALE_MS = 60_000;
/**
 * Copies of one disk that are tried, each under its own name, before a restore fails: an Azure copy sometimes fails
 * with an internal fault.
 */
export const RESTORE_COPIES_MAX_TRIES = 4;
/**
 * A finished restore is removed after this time, with its copies of whole disks: a day to download 8 TiB at 100 MB/s,
 * and some days for a person to start it.
 */
export const RESTORE_KEPT_MS = 7 * 24 * 60 * 60_000;
/**
 * Restores of one item that the API keeps at a time, and records that one sweep reads: each holds copies of all disks.
 */
export const RESTORES_MAX_COUNT = 64;
/**
 * After a restore is removed, every request of its slices has settled by this time: nine rounds of copies of 64 disks,
 * at STORE_WRITE_MS each.
 */
export const RESTORE_SETTLE_MS = 5 * 60_000;
/** Azure promises no copy time; 8 TiB at 100 MiB/s take a day. */
export const RESTORE_MAX_MS = 48 * 60 * 60_000;

// --- Requests to storage (azure/) ---
/** One read with its retries. */
export const STORE_READ_MS = 60_000;
/** One listing with its retries: a page is answered in much less, and sweeps wait for it. */
export const STORE_LIST_MS = 10_000;
/** So many requests in a row without an answer close an account: one alone may be chance. */
export const CIRCUIT_FAILURES = 2;
/**
 * How long a cache account that does not answer is left alone: most of a sweep's time is then for items of other
 * accounts, and a region that is back is noticed within the claim of a worker.
 */
export const CIRCUIT_PAUSE_MS = 20_000;
/**
 * One small write: page writes, sequence numbers, snapshots and records all settle well inside a claim, or count as
 * unknown.
 */
export const STORE_WRITE_MS = 20_000;
/** One Put Blob of a whole delta: 64 MiB at 1 MiB/s. */
export const STORE_BLOB_WRITE_MS = 64_000;
/** Tries of a request that may safely be sent again, with 0, 0.25, 0.75 and 1.75 s before them. */
export const STORE_TRIES = 4;
export const STORE_RETRY_DELAY_MS = 250;
export const STORE_RETRY_MAX_DELAY_MS = 4_000;
/** Azure answers at most 5,000 names on one page of a listing, and sometimes fewer with more to come. */
export const LIST_PAGE_MAX_COUNT = 5_000;
/** Pages that one listing follows: a million names, more than any container of ours may hold. */
export const LIST_PAGES_MAX_COUNT = 200;
/**
 * Moving a blob into quarantine copies it inside its account, nearly instantly; if it takes longer, the next sweep
 * tries again.
 */
export const QUARANTINE_COPY_MS = 10_000;
export const QUARANTINE_POLL_MS = 250;
/**
 * Blobs that quarantine keeps per item, 2 GiB at most: evidence of what was wrong, not an archive of endless uploads.
 */
export const QUARANTINE_MAX_COUNT = 32;
/** Azure limits blob names to 1,024 characters; the rest is reserved for what quarantine adds. */
export const QUARANTINE_NAME_MAX_LENGTH = 900;
/** Metadata of a quarantined blob: short, since all metadata of a blob share 8 KiB. */
export const QUARANTINE_REASON_MAX_LENGTH = 200;
/**
 * The right of a mobility service to create blobs of one stream. Heartbeats renew it in half the time: after a longer
 * silence its uploads wait.
 */
export const CACHE_GRANT_MS = 60 * 60_000;
/** Grants kept in memory: one per item, the oldest is dropped first. */
export const CACHE_GRANTS_MAX_COUNT = 10_000;
/** The right to download one restored disk. */
export const RESTORE_GRANT_MS = 60 * 60_000;
/** A grant is backdated by this much, so that a slow clock still accepts it (Microsoft advises 15 minutes). */
export const GRANT_SKEW_MS = 15 * 60_000;
/** Queue messages can be delayed by at most seven days. */
export const QUEUE_DELAY_MAX_MS = 7 * 24 * 60 * 60_000;

// --- Function app (functions/) ---
/** A request body: 65 disks with the longest ids take about 10 KiB. */
export const HTTP_BODY_MAX_BYTES = 64 * KIB;
/**
 * Faults of a body that its refusal names, and characters of each: a person reads them, and 20,000 wrong elements would
 * return a megabyte.
 */
export const BODY_FAULTS_MAX_COUNT = 8;
export const BODY_FAULT_MAX_LENGTH = 400;
/**
 * Characters of an error's message, and of each of its facts, in an answer: enough for all faults of a body. Both may
 * quote the request.
 */
export const ERROR_TEXT_MAX_LENGTH = 4_096;
/** Items on one page of a listing, and items that one run of a timer handles. */
export const ITEMS_PAGE_MAX_COUNT = 100;
/** Events in one queue message: a message of 64 KiB holds fewer. */
export const HINTS_PER_MESSAGE_MAX_COUNT = 256;
/**
 * Items that one process keeps warm, that is claimed while it waits for their next hint: half of the queue's slots stay
 * free for all others.
 */
export const WARM_ITEMS_MAX_COUNT = 2;
/** A warm item is polled this often without a hint, because its hints may have gone to another process. */
export const WARM_LOOK_MS = 10_000;
/** A process that is told to end waits this long for its warm items to be released; after that their claims expire. */
export const LET_GO_MS = 1_500;
/**
 * Few records land after their item was disabled: the next sweep removes any beyond these. Lasting records count too.
 */
export const STRAYS_MAX_COUNT = 200;
/** Sweeps are cheap; tidying, which lists points and snapshots, runs at most once per item in this time. */
export const SWEEP_ALL_MS = 3 * 60_000;
/**
 * A run of a timer stops after this time and the next run continues there: shorter than the 30 s between two sweeps.
 */
export const TIMER_RUN_MS = 25_000;

// --- Names ---
/** Container names have at most 63 characters; the longest prefix and suffix leave 36 for the item (a GUID fits). */
export const ITEM_ID_MAX_LENGTH = 36;
export const DISK_ID_MAX_LENGTH = 80;

// --- Mobility service: journal, epochs, spool (docs/capture.md) ---
/** An epoch with writes is closed at this age unless the configuration says otherwise. */
export const EPOCH_MAX_AGE_MS = 5_000;

// --- Mobility service: network ---
/** Deltas uploaded to the cache concurrently: hides the latency, and at most this many blobs precede a gap. */
export const UPLOADS_IN_FLIGHT = 2;
/** Heartbeat interval unless the control plane sets one, and the shortest that it may set. */
export const HEARTBEAT_MS = 5_000;
export const HEARTBEAT_MIN_MS = 250;

// --- Planning a target (replication/planning) ---
/** Azure reserves the first four addresses of every subnet (network, gateway, two for DNS) and the last (broadcast). */
export const AZURE_ADDRESSES_RESERVED_FIRST = 4;
export const AZURE_ADDRESSES_RESERVED_LAST = 1;
/** Site Recovery's smallest disk; Azure makes no managed disk smaller than one GiB either. */
export const DISK_MIN_BYTES = 1024 * MIB;

// --- Policies and network mappings (replication/policies, replication/networks) ---
/** Policies of one app: a handful is usual, and all of them are read for a list. */
export const POLICIES_MAX_COUNT = 200;
/** Network mappings of one app: one record of some 300 KB with the longest names. */
export const NETWORK_MAPPINGS_MAX_COUNT = 400;

// --- Jobs, ledger, failover (replication/jobs, replication/failover) ---
/** Errors that one job keeps: the first ones show the cause, later ones are its echo. */
export const JOB_ERRORS_MAX_COUNT = 16;
/** Leftovers that one job names: more of them indicate another kind of fault, and the ledger lists all. */
export const JOB_LEFTOVERS_MAX_COUNT = 64;
/** Resources of one item: 65 disks with their copies for failover and test failover, and what those depend on. */
export const LEDGER_MAX_ENTRIES = 1_000;
/**
 * How long a failover to the latest state waits for the backlog before it takes the latest processed point: an eighth
 * of Site Recovery's two hours.
 */
export const LATEST_WAIT_MS = 15 * 60_000;

// --- Failover by alert (replication/alerts) ---
/** After an alert has started a failover, others are ignored for this long: one outage raises many. */
export const ALERT_COOL_DOWN_MS = 60 * 60_000;
/** An alert that fired longer ago may describe a state that is over; an action group gives up after 15 minutes. */
export const ALERT_MAX_AGE_MS = 30 * 60_000;
/** Decisions remembered to recognise repeated alerts, the newest first. */
export const ALERT_HISTORY_MAX_COUNT = 256;
/** The longest cool-down of a rule: an operator who wants a longer one needs no rule. */
export const ALERT_COOL_DOWN_MAX_MS = 7 * 24 * 60 * 60_000;
/** Resources of one rule, and of one alert: Azure's rules over many resources raise one alert for each. */
export const ALERT_TARGETS_MAX_COUNT = 64;
/** Characters of a resource id: far above the longest that Azure's names allow. */
export const RESOURCE_ID_MAX_LENGTH = 512;
/** Bytes of an alert's request: Azure Monitor cuts alerts off at 256 kB. */
export const ALERT_BODY_MAX_BYTES = 256 * KIB;
/** Bytes of an alert's queue message: a queue takes 64 KiB of base64, and a decision needs far less of an alert. */
export const ALERT_MESSAGE_MAX_BYTES = 48 * KIB;

// --- Events out (replication/events, azure/events.ts) ---
/** One request to the topic: a change of state waits no longer than this to be reported. */
export const EVENTS_SEND_MS = 5_000;
/**
 * After a failure the topic is not called for a little less than a sweep's period: a run over many items then waits for
 * it once, not once per item.
 */
export const EVENTS_PAUSE_MS = 20_000;
/** Events of one request: with 64 disks or the most errors each has some 10 KB, and Event Grid takes 1 MB. */
export const EVENTS_PER_SEND_MAX_COUNT = 32;
/** Events of one item that wait for the topic: more than a day of failovers. */
export const EVENTS_WAITING_MAX_COUNT = 64;
/**
 * Names below `points/` that one sweep reads for points to publish: after days without the topic, the next sweeps
 * publish the rest.
 */
export const EVENT_POINT_NAMES_MAX_COUNT = 128;
/** Errors of a job or an item that one event carries, and the characters of each text: the API has the rest. */
export const EVENT_ERRORS_MAX_COUNT = 5;
export const EVENT_TEXT_MAX_LENGTH = 1_024;

// --- Azure Resource Manager (azure/arm, replication/resources) ---
/** One request: Resource Manager itself gives up after 60 seconds. */
export const AZURE_REQUEST_MS = 65_000;
/**
 * How long Azure may show a change of a flow late: its regional caches returned 404 for an existing resource for some
 * minutes, and "in use" by a removed one for seconds. Lists lag for longer (18 minutes were seen): no flow decides on
 * one.
 */
export const AZURE_LAG_MS = 10 * 60_000;
/**
 * The pause before a change is retried when Azure names none: operations on networks and accounts hold a resource for
 * seconds.
 */
export const AZURE_BUSY_MS = 10_000;
/** How long a NIC stays reserved for the machine that failed to get it. */
export const AZURE_NIC_RESERVED_MS = 180_000;
/**
 * The longest pause that Azure may ask for: longer throttling is waited out in pieces, so that a flow can be stopped
 * meanwhile.
 */
export const AZURE_RETRY_AFTER_MAX_MS = 10 * 60_000;
/**
 * Pages of one listing: 100 to 1,000 resources each, far above the limit of a subscription for one type in a region.
 */
export const AZURE_LIST_MAX_PAGES = 200;
/**
 * Concurrent reads of one inventory: a VM with 64 disks takes about ten rounds, and a subscription keeps most of its 25
 * reads a second.
 */
export const AZURE_READS_AT_ONCE = 8;
/** Azure allows 50 tags on a resource. */
export const AZURE_TAGS_MAX_COUNT = 50;

// --- Flows (orchestrations/, replication/jobs) ---
/**
 * Tries of one activity whose failure can pass: with the pauses below about ten minutes, longer than a storage or
 * Resource Manager hiccup, and than most role assignments take to become effective.
 */
export const FLOW_ACTIVITY_MAX_TRIES = 8;
/** The first pause between two tries; each later one is twice as long, up to FLOW_PAUSE_MAX_MS. */
export const FLOW_PAUSE_MS = 5_000;
export const FLOW_PAUSE_MAX_MS = 5 * 60_000;
/**
 * How often one change of a resource is started after Azure failed it for a reason that can pass (no capacity, an
 * internal fault).
 */
export const FLOW_STEP_MAX_BEGINS = 5;
/**
 * Concurrent requests for the resources of one stage: 65 disks start in nine rounds, within a subscription's bucket of
 * 200 writes.
 */
export const FLOW_STEPS_AT_ONCE = 8;
/** All pauses of one stage of resources together: imports of 8 TiB disks take hours, and nothing takes a day. */
export const FLOW_STAGE_MAX_MS = 24 * 60 * 60_000;
/**
 * The first pause before polling an operation that names no time of its own: copies inside one account, changes of
 * networks and imports of small disks end in moments. Each later pause is as long as the wait so far ...
 */
export const FLOW_FIRST_LOOK_MS = 250;
/**
 * ... up to this, so that a wait of minutes polls less often than Azure's own clients, which poll every two seconds.
 */
export const FLOW_LOOK_MS = 5_000;
/** A mobility service is installed and reports within minutes; after half an hour the machine needs an operator. */
export const FLOW_REGISTRATION_MAX_MS = 30 * 60_000;
/** Lines of base64 in an install script: `base64 -d` of every system accepts those of RFC 2045. */
export const INSTALL_SETTINGS_LINE_LENGTH = 76;
/** A new machine runs within minutes. */
export const FLOW_MACHINE_MAX_MS = 30 * 60_000;
/**
 * How long a flow waits for a change that the source accepted: its shut-down, for open files, or the removal of its
 * extension. Mostly the source does not answer.
 */
export const FLOW_SOURCE_MAX_MS = 10 * 60_000;
/**
 * How long all best-effort steps of a flow may delay it together: a failover from a burning source must not wait for
 * the source. A new step gets a share of what the others leave.
 */
export const FLOW_BEST_EFFORT_MAX_MS = 15 * 60_000;
/**
 * The longest pause between two tries to reach that source: with FLOW_PAUSE_MAX_MS a region that is gone would cost ten
 * minutes of recovery time.
 */
export const FLOW_SOURCE_PAUSE_MAX_MS = 5_000;
/**
 * A worker ends its slice within SLICE_MS, a dead one's claim ends within CLAIM_MS, and then its requests settle: twice
 * that is a fault.
 */
export const FLOW_WORKER_MAX_MS = 10 * 60_000;
/** Tries of a request to a source region that may be gone, when only the removal of its resource waits for it. */
export const FLOW_SOURCE_MAX_TRIES = 3;
/**
 * How often a removal that the source region did not accept is retried: a lost region mostly returns after hours, or
 * never.
 */
export const LEFT_RETRY_MS = 60 * 60_000;
/**
 * The limit of one such try: a few requests to storage, or one to Resource Manager. Shorter than a flow waits for it.
 */
export const LEFT_TRY_MAX_MS = 5 * 60_000;
/** A superseded flow stops at its next activity; a flow waits no longer than this for one that has died. */
export const FLOW_TAKEOVER_MAX_MS = 10 * 60_000;
/** Jobs of one item that are read at once. */
export const JOBS_LIST_MAX_COUNT = 100;
/**
 * Jobs of one item that are kept, including refused requests; each request removes the oldest surplus. Fewer than are
 * read, so that a surplus is seen.
 */
export const JOBS_KEPT_MAX_COUNT = 64;
/** Committing waits this long for restores that hold recovery points: no restore takes longer. */
export const COMMIT_WAIT_MAX_MS = 24 * 60 * 60_000;
/**
 * The pause between polls once a wait has lasted a quarter of an hour: a day of polling then takes some thousand steps,
 * not tens of thousands.
 */
export const FLOW_GROWN_PAUSE_MS = 60_000;

// --- Frames (replication/delta) ---
/** node:zlib refuses smaller chunks. */
export const ZLIB_CHUNK_MIN_BYTES = 64;
/**
 * Frames from this size on are first judged by a sample: large writes are often compressed or encrypted already, and
 * trying in vain takes a hundred times as long.
 */
export const FRAME_SAMPLED_MIN_BYTES = 128 * KIB;
/** One piece of such a sample: eight are taken across the frame. */
export const FRAME_SAMPLE_PIECE_BYTES = 2 * KIB;
/** A first allocation for callers that do not know the length of their delta in advance. */
export const DELTA_HINT_BYTES = 256 * KIB;
