/**
 * Bounds of the mobility service alone, each with its reason. Those shared with the domain are in
 * `replication/limits.ts`.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

// --- Mobility service: NBD (docs/capture.md) ---
/**
 * The huge-request trace of the NBD project's own tester sends up to 49.9 MB in one request; 32 MiB must never be
 * refused.
 */
export const NBD_REQUEST_MAX_BYTES = 64 * MIB;
/** Export names end at 4096 bytes in the protocol; longer options are an attack. */
export const NBD_OPTION_MAX_BYTES = 64 * KIB;
/**
 * nbdcopy opens 4, a kernel client up to one per CPU; each holds at most two pieces and its unread replies: 160 MiB for
 * all.
 */
export const NBD_CONNECTIONS_MAX = 16;
/** Requests taken from one connection and not yet answered: deeper queues wait in the socket. */
export const NBD_REQUESTS_IN_FLIGHT = 128;
/**
 * Longer payloads are written, and longer reads answered, in pieces of this size as they come: what one connection
 * holds does not grow with its requests.
 */
export const NBD_PIECE_MAX_BYTES = 4 * MIB;
/**
 * Payloads of all connections that wait for the journal, a lock or the medium: beyond it no connection is read until
 * some are done.
 */
export const NBD_PAYLOAD_IN_FLIGHT_BYTES = 32 * MIB;
/** Replies that a client has not read: beyond it no further request of this connection is started. */
export const NBD_REPLIES_WAITING_BYTES = 2 * MIB;
/** A client negotiates within this time or gives up its place. */
export const NBD_HANDSHAKE_MS = 10_000;

// --- Delta files (docs/delta-format.md) ---
/**
 * The journal segment of an epoch is cut at this size, so that even incompressible data with its tables fits
 * DELTA_MAX_BYTES.
 */
export const EPOCH_MAX_DATA_BYTES = 48 * MIB;

// --- Mobility service: journal, epochs, spool (docs/capture.md) ---
/** A larger write becomes several records: bounds how long one step holds the event loop. */
export const JOURNAL_RECORD_MAX_BYTES = 4 * MIB;
/**
 * Closed segments that wait for their delta, 768 MiB of journal: a burst of some seconds at the full rate of a disk
 * waits there and not in the guest, even if sealing takes ten times as long. Beyond it writes wait for the local disk
 * and processor (never for the network).
 */
export const JOURNAL_CLOSED_SEGMENTS_MAX = 16;
/**
 * Nice value of the thread that seals. When the processors are all busy the guest and its disks go first, and sealing
 * still gets a third of what another busy thread gets: with less, a guest that computes all the time would soon wait
 * for JOURNAL_CLOSED_SEGMENTS_MAX.
 */
export const SEALING_NICENESS = 5;
/**
 * An epoch with no space for its delta is tried this often, within some seconds, before it is given up: a brief
 * shortage passes.
 */
export const SEAL_FULL_TRIES = 4;
/** One step of initial replication: bounds how long a write of the same range may have to wait. */
export const SEED_CHUNK_BYTES = MIB;
/** Initial replication reads no further while this many deltas wait for upload. */
export const SEED_SPOOL_MAX_DELTAS = 8;
/** Kept free for the state file: two of the largest (65 disks), with space for lock and folder. */
export const STATE_RESERVE_BYTES = 128 * KIB;
/** How long seeding pauses while the spool or the log is full. */
export const SEED_LOOK_MS = 100;
/** Granularity of the dirty map: the block size of the usual file systems. */
export const DIRTY_GRAIN_BYTES = 4 * KIB;
/** One page of the dirty map on disk: the unit that is written and checked. */
export const DIRTY_MAP_PAGE_BYTES = 4 * KIB;
/** Pages of the dirty map in memory (4 MiB): they cover writes over 128 GiB, whatever the size of the disks. */
export const DIRTY_MAP_CACHE_PAGES = 1_024;
/**
 * This many regions of this size may be written without waiting for the activity log: at most 4 GiB are read again
 * after a power failure.
 */
export const ACTIVITY_REGION_BYTES = 4 * MIB;
export const ACTIVITY_MAX_REGIONS = 1_024;
/**
 * Deltas waiting for upload may take this much of the state folder's disk unless the configuration says otherwise:
 * hours of outage at a usual churn ...
 */
export const SPOOL_DEFAULT_BYTES = 16 * 1024 * MIB;
/**
 * ... and never more than this share of the free space there (their own bytes counted as free): other programs use the
 * disk too.
 */
export const SPOOL_FREE_SHARE = 0.8;
/** How often the free space of that disk is checked. */
export const SPOOL_BOUND_LOOK_MS = 1_000;
/** Logging ends for lack of space on the disk and begins again only when the spool may hold at least this much. */
export const SPOOL_MIN_BYTES = MIB;
/**
 * Logging begins again when the spool has come down to this share of its bound: that leaves space for the writes of
 * some time.
 */
export const SPOOL_LOW_SHARE = 0.5;
/** How often a service without a log checks whether it may have one again. */
export const RESUME_LOOK_MS = 200;
/**
 * Shorter runs of zeros inside data stay data: they compress to almost nothing, and an extent of their own costs a page
 * operation.
 */
export const ZERO_RUN_MIN_BYTES = 64 * KIB;

// --- Mobility service: app-consistent points (docs/capture.md) ---
/**
 * From the first call of the script until the cut: applications and file systems are frozen meanwhile, and databases
 * give up after tens of seconds.
 */
export const FREEZE_MAX_MS = 10_000;
/** The most that the configuration may allow: the time limit of Windows' own volume shadow copies. */
export const FREEZE_LIMIT_MS = 60_000;
/** Thawing must not fail: it gets more time and is repeated. */
export const THAW_MAX_MS = 30_000;
export const THAW_TRIES = 3;
/** Script output kept for the log. */
export const SCRIPT_OUTPUT_MAX_BYTES = 2_000;

// --- Mobility service: status ---
/** Clients of the status socket at once: each gets one document and is closed. */
export const STATUS_CLIENTS_MAX = 16;
/** A client that does not read its document is closed. */
export const STATUS_CLIENT_MS = 5_000;

// --- Mobility service: network ---
/** A bandwidth limit below this would be a replication that never ends: 64 MiB would take hours. */
export const RATE_MIN_BYTES_PER_SECOND = 16 * KIB;
/** 64 MiB in this time need 0.5 MiB/s. */
export const UPLOAD_TIMEOUT_MS = 120_000;
/** The wait after a failure begins here, doubles, and ends at the second; a random half spreads many machines. */
export const BACK_OFF_FIRST_MS = 500;
export const BACK_OFF_MAX_MS = 15_000;
export const CONTROL_TIMEOUT_MS = 10_000;
/** Answers of the control plane and of the cache are small. */
export const HTTP_ANSWER_MAX_BYTES = 64 * KIB;
export const HEARTBEAT_MAX_MS = 60_000;
/** How often a service asks for a session that another one has: as often as a heartbeat. */
export const SESSION_ASK_MS = 5_000;
/** A service whose token was refused can only wait for an operator: it asks rarely. */
export const REFUSED_ASK_MS = 5 * 60_000;
/** A stopping service reports its end within this time: with STOP_UPLOAD_MS it stays below CHILD_STOP_MS. */
export const SESSION_END_MS = 1_000;
/** Azure's instance metadata service answers from the host itself; a slower answer counts as none. */
export const METADATA_TIMEOUT_MS = 5_000;
/** First registration is tried this often before the service gives up. */
export const REGISTER_ATTEMPTS = 8;
/**
 * How long a stopping service tries to empty its spool, well below CHILD_STOP_MS; the rest goes after the next start.
 */
export const STOP_UPLOAD_MS = 2_500;

// --- Buffers ---
/** Bytes compressed without reuse between two garbage collections; the compressors leave three times as much. */
export const SEAL_COLLECT_BYTES = 8 * MIB;
/** Piece size for reading and sending a delta: bounds what an upload holds in memory. */
export const FILE_PIECE_BYTES = 256 * KIB;
/** Pieces of a file are gathered into writes of this size. */
export const FILE_GATHER_BYTES = 256 * KIB;
/** Longer paths of a socket would be cut off silently (unix(7): 108 bytes with the closing zero). */
export const STATUS_PATH_MAX_BYTES = 107;
/** How often the service writes its status file: people and scripts read it no more often. */
export const STATUS_INTERVAL_MS = 1_000;
/** Received chunks per connection: beyond this, tiny ones are joined. */
export const NBD_CHUNKS_MAX = 256;
/** Block size that clients are told to prefer: ext4, NTFS and databases write in multiples of it. */
export const NBD_PREFERRED_BYTES = 4 * KIB;
/**
 * The buffer of a connection begins at most this large and doubles as bytes arrive, so a header alone allocates nothing
 * large.
 */
export const NBD_PIECE_FIRST_BYTES = 256 * KIB;
/**
 * Replies of one turn are copied together up to this length: above it they are passed to the system as many buffers.
 */
export const NBD_JOINED_MAX_BYTES = 64 * KIB;
