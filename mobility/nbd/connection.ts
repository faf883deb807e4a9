import type { Socket } from "node:net";
import {
  NBD_HANDSHAKE_MS,
  NBD_JOINED_MAX_BYTES,
  NBD_PIECE_MAX_BYTES,
  NBD_REPLIES_WAITING_BYTES,
  NBD_REQUESTS_IN_FLIGHT,
} from "../limits.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { checkCommand, type NbdCommand } from "./commands.ts";
import { acceptClientFlags, answerOption, type ExportDescription, type Negotiation } from "./negotiation.ts";
import { createNbdParser, type NbdEvent, type NbdRequest } from "./parser.ts";
import { COMMAND, WIRE_ERROR, type WireError } from "./protocol.ts";
import { emptyReadReply, greeting, readErrorReply, readReplyHeader, simpleReply } from "./replies.ts";

/**
 * A disk as NBD sees it. Ranges are already checked. A result that is not a promise is immediate: most requests take
 * this path, without a turn of the event loop. Failures carry the error number of the reply (`wireError` of
 * nbd/server.ts maps them).
 */
export interface NbdDisk extends ExportDescription {
  read(offsetBytes: number, lengthBytes: number): Buffer;
  /**
   * Resolves when the write is in the journal and in the image; `fua`: when it and all before it are durable too.
   * `data` is needed until then.
   */
  write(offsetBytes: number, data: Buffer, fua: boolean): Promise<void> | undefined;
  zero(offsetBytes: number, lengthBytes: number, fua: boolean): Promise<void> | undefined;
  /** Resolves when every write answered before is durable. */
  flush(): Promise<void>;
}

export interface ConnectionOptions {
  readonly disks: readonly NbdDisk[];
  /** For payloads that wait, shared by all connections. */
  readonly budget: ByteBudget;
  /** The error number for a failed disk. */
  readonly wireError: (error: unknown) => WireError;
  /** Called once, when no work of this connection is under way any more. */
  readonly closed: () => void;
}

/** Serves one client until it leaves. Starts requests in order and answers them as they end. */
export function serveConnection(socket: Socket, options: ConnectionOptions): void {
  new Connection(socket, options).begin();
}

class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #parser = createNbdParser();
  readonly #handshakeTimer: NodeJS.Timeout;
  #negotiation: Negotiation = { noZeroes: false, structuredReplies: false };
  #disk: NbdDisk | undefined;
  #requests = 0;
  /**
   * The WRITE whose payload comes in pieces, as checked at its first piece: after a failure it takes no further piece.
   */
  #write: NbdCommand = { kind: "refuse", error: WIRE_ERROR.none };
  /** A piece of a payload is being written or a long READ is being answered: nothing else starts until it is done. */
  #busy = false;
  /** Replies of this turn, in order; sent together. */
  #replies: Buffer[] = [];
  #repliesBytes = 0;
  /** A long READ is being answered: replies that become ready meanwhile may not come between its pieces. */
  #reading = false;
  /** Nothing more is read from the client: it left, broke the protocol, or the socket is gone. */
  #ending = false;
  #closed = false;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#handshakeTimer = setTimeout(() => socket.destroy(), NBD_HANDSHAKE_MS);
  }

  begin(): void {
    const socket = this.#socket;
    socket.on("data", (chunk) => {
      if (this.#ending) return;
      this.#parser.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk));
      this.#proceed();
    });
    socket.on("drain", () => this.#proceed());
    socket.on("end", () => this.#end());
    // A client that leaves is not a fault of the service; "close" follows.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#ending = true;
      clearTimeout(this.#handshakeTimer);
      this.#finish();
    });
    this.#send(greeting());
    this.#flush();
  }

  /**
   * Starts the requests that have arrived, until a limit is reached; the end of a request or drained replies call it
   * again.
   */
  #proceed(): void {
    const socket = this.#socket;
    while (!this.#ending && !socket.destroyed) {
      if (this.#isFull()) {
        socket.pause();
        break;
      }
      const event = this.#parser.next();
      if (event === undefined) {
        socket.resume();
        break;
      }
      this.#handle(event);
    }
    this.#flush();
  }

  #isFull(): boolean {
    const { budget } = this.#options;
    const unreadBytes = this.#socket.writableLength + this.#repliesBytes;
    if (this.#busy || this.#requests >= NBD_REQUESTS_IN_FLIGHT || unreadBytes >= NBD_REPLIES_WAITING_BYTES) return true;
    if (!budget.isSpent) return false;
    budget.whenFree(() => this.#proceed());
    return true;
  }

  #handle(event: NbdEvent): void {
    switch (event.kind) {
      case "client-flags": {
        const accepted = acceptClientFlags(event.flags);
        if (accepted === undefined) this.#socket.destroy();
        else this.#negotiation = accepted;
        return;
      }
      case "option":
        return this.#negotiate(event.option, event.data);
      case "request":
        if (this.#disk !== undefined) this.#perform(this.#disk, event.request);
        return;
      case "payload":
        if (this.#disk !== undefined) this.#performWrite(this.#disk, event);
        return;
      case "violation":
        this.#socket.destroy();
    }
  }

  #negotiate(option: number, data: Buffer): void {
    const outcome = answerOption(option, data, this.#negotiation, this.#options.disks);
    this.#negotiation = outcome.negotiation;
    this.#send(...outcome.replies);
    if (outcome.next === "close") this.#end();
    else if (outcome.next !== "continue") {
      this.#disk = this.#options.disks[outcome.next.transmit];
      clearTimeout(this.#handshakeTimer);
      this.#parser.beginTransmission();
    }
  }

  /** Every request without a payload. */
  #perform(disk: NbdDisk, request: NbdRequest): void {
    const { offsetBytes, lengthBytes } = request;
    const command = checkCommand(request, disk.sizeBytes, this.#negotiation.structuredReplies);
    switch (command.kind) {
      case "read":
        if (lengthBytes > NBD_PIECE_MAX_BYTES) return void this.#answerLongRead(disk, request);
        return this.#answerRead(disk, request);
      case "write":
        // Not without a payload: one of no bytes is "nothing".
        return;
      case "zero":
        return this.#answer(request, () => disk.zero(offsetBytes, lengthBytes, command.fua));
      case "flush":
        return this.#answer(request, () => disk.flush());
      case "nothing":
        return this.#answer(request, () => (command.durable ? disk.flush() : undefined));
      case "refuse":
        return this.#sendError(request, command.error);
      case "disconnect":
        return this.#end();
    }
  }

  /**
   * One piece of the payload of a WRITE; the reply follows the last one. A refused payload is read to its end to keep
   * framing.
   */
  #performWrite(disk: NbdDisk, { request, atBytes, data }: Extract<NbdEvent, { kind: "payload" }>): void {
    const last = atBytes + data.length === request.lengthBytes;
    if (atBytes === 0) this.#write = checkCommand(request, disk.sizeBytes, this.#negotiation.structuredReplies);
    const command = this.#write;
    if (command.kind !== "write") {
      if (last && command.kind === "refuse") this.#sendError(request, command.error);
      return;
    }
    const run = (): Promise<void> | undefined => disk.write(request.offsetBytes + atBytes, data, command.fua && last);
    // A small payload is a view of its received chunk, which is held as a whole while the payload waits.
    const heldBytes = data.buffer.byteLength;
    if (last) this.#answer(request, run, heldBytes);
    else this.#writePiece(run, heldBytes);
  }

  #writePiece(run: () => Promise<void> | undefined, heldBytes: number): void {
    const failed = (error: unknown): void => {
      this.#write = { kind: "refuse", error: this.#options.wireError(error) };
    };
    try {
      const work = run();
      if (work === undefined) return;
      this.#busy = true;
      void this.#underWay(work.catch(failed), heldBytes, () => (this.#busy = false));
    } catch (error) {
      failed(error);
    }
  }

  /** Runs a request whose only answer is success; `heldBytes` of its payload are needed until then. */
  #answer(request: NbdRequest, run: () => Promise<void> | undefined, heldBytes = 0): void {
    try {
      const work = run();
      if (work === undefined) this.#sendDone(request);
      else {
        const answered = work.then(
          () => this.#sendDone(request),
          (error: unknown) => this.#sendError(request, this.#options.wireError(error)),
        );
        void this.#underWay(answered, heldBytes, () => undefined);
      }
    } catch (error) {
      this.#sendError(request, this.#options.wireError(error));
    }
  }

  /** Counts work that has not ended in this turn, and continues when it has. `work` never rejects. */
  async #underWay(work: Promise<void>, heldBytes: number, ended: () => void): Promise<void> {
    const { budget } = this.#options;
    this.#requests += 1;
    budget.take(heldBytes);
    if (heldBytes > 0) this.#parser.keep();
    await work;
    ended();
    this.#requests -= 1;
    if (this.#ending && this.#requests === 0) this.#leave();
    this.#finish();
    this.#proceed();
    budget.giveBack(heldBytes);
  }

  #answerRead(disk: NbdDisk, request: NbdRequest): void {
    const { cookie, offsetBytes, lengthBytes } = request;
    const { structuredReplies } = this.#negotiation;
    try {
      if (lengthBytes === 0) return this.#send(emptyReadReply(cookie, structuredReplies));
      const data = disk.read(offsetBytes, lengthBytes);
      this.#send(
        readReplyHeader(cookie, { offsetBytes, lengthBytes, first: true, last: true }, structuredReplies),
        data,
      );
    } catch (error) {
      this.#sendError(request, this.#options.wireError(error));
    }
  }

  /**
   * Answers piece by piece, reading each when the previous one was sent: a client that asks and does not fetch costs
   * the memory of one piece.
   */
  async #answerLongRead(disk: NbdDisk, request: NbdRequest): Promise<void> {
    this.#flush();
    this.#reading = true;
    this.#busy = true;
    await this.#underWay(this.#sendPieces(disk, request), 0, () => {
      this.#busy = false;
      this.#reading = false;
    });
  }

  async #sendPieces(disk: NbdDisk, request: NbdRequest): Promise<void> {
    const { cookie, offsetBytes, lengthBytes } = request;
    const { structuredReplies } = this.#negotiation;
    const socket = this.#socket;
    for (let at = 0; at < lengthBytes && !socket.destroyed; at += NBD_PIECE_MAX_BYTES) {
      const pieceBytes = Math.min(NBD_PIECE_MAX_BYTES, lengthBytes - at);
      const piece = {
        offsetBytes: offsetBytes + at,
        lengthBytes: pieceBytes,
        first: at === 0,
        last: at + pieceBytes === lengthBytes,
      };
      try {
        const data = disk.read(piece.offsetBytes, pieceBytes);
        socket.write(readReplyHeader(cookie, piece, structuredReplies));
        await new Promise<void>((resolve) => void socket.write(data, () => resolve()));
      } catch (error) {
        // A simple reply that has begun promised data: the protocol only allows hanging up.
        if (!structuredReplies && !piece.first) socket.destroy();
        else socket.write(readErrorReply(cookie, this.#options.wireError(error), structuredReplies));
        return;
      }
    }
  }

  #sendDone(request: NbdRequest): void {
    this.#send(simpleReply(request.cookie, WIRE_ERROR.none));
  }

  #sendError(request: NbdRequest, error: WireError): void {
    const { structuredReplies } = this.#negotiation;
    if (request.type === COMMAND.read) this.#send(readErrorReply(request.cookie, error, structuredReplies));
    else this.#send(simpleReply(request.cookie, error));
  }

  #send(...parts: readonly Buffer[]): void {
    for (const part of parts) {
      this.#replies.push(part);
      this.#repliesBytes += part.length;
    }
  }

  /** Sends replies in one system call: one call each costs as much as all other socket work of a small write. */
  #flush(): void {
    const socket = this.#socket;
    if (this.#reading || this.#replies.length === 0) return;
    const replies =
      this.#repliesBytes <= NBD_JOINED_MAX_BYTES ? [Buffer.concat(this.#replies, this.#repliesBytes)] : this.#replies;
    this.#replies = [];
    this.#repliesBytes = 0;
    if (socket.destroyed || socket.writableEnded) return;
    socket.cork();
    for (const part of replies) socket.write(part);
    socket.uncork();
  }

  #leave(): void {
    this.#flush();
    this.#socket.destroySoon();
  }

  /** The client sends no more: answers the work under way, then closes the connection. */
  #end(): void {
    this.#ending = true;
    this.#socket.resume();
    if (this.#requests === 0) this.#leave();
  }

  #finish(): void {
    if (this.#requests > 0 || this.#closed || !this.#socket.destroyed) return;
    this.#closed = true;
    this.#options.closed();
  }
}
