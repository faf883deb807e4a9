/**
 * Bounds that only the mobility service has, each with its reason. Those that it shares with the domain stand in
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
/** Replies that a client has not read: beyond it no further request of this connection is taken up. */
export const NBD_REPLIES_WAITING_BYTES = 2 * MIB;
/** A client negotiates within this time or gives up its place. */
export const NBD_HANDSHAKE_MS = 10_000;
