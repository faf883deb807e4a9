import type { Socket } from "node:net";
import {
  NBD_HANDSHAKE_MS,
  NBD_PAYLOAD_IN_FLIGHT_BYTES,
  NBD_REPLIES_WAITING_BYTES,
  NBD_REQUESTS_IN_FLIGHT,
} from "../../replication/limits.ts";
import { checkCommand } from "./commands.ts";
import { acceptClientFlags, answerOption } from "./negotiation.ts";
import type { ExportDescription, Negotiation } from "./negotiation.ts";
import { createNbdParser } from "./parser.ts";
import type { NbdEvent, NbdRequest } from "./parser.ts";
import { COMMAND, WIRE_ERROR } from "./protocol.ts";
import type { WireError } from "./protocol.ts";
import { emptyReadReply, greeting, readErrorReply, readReplyHeader, simpleReply } from "./replies.ts";

/**
 * A disk as NBD sees it. Ranges are checked before. An answer that is not a promise was given at once: most requests take this way, without a
 * turn of the event loop. Failures carry the error number of the reply (`wireError` of nbd/server.ts turns them).
 */
export interface NbdDisk extends ExportDescription {
  read(offsetBytes: number, lengthBytes: number): Buffer | Promise<Buffer>;
  /** Done when the write is in the journal and in the image; `fua`: when it is durable too. */
  write(offsetBytes: number, data: Buffer, fua: boolean): Promise<void> | undefined;
  zero(offsetBytes: number, lengthBytes: number, fua: boolean): Promise<void> | undefined;
  /** Done when every write answered before is durable. */
  flush(): Promise<void>;
}

export interface ConnectionOptions {
  readonly disks: readonly NbdDisk[];
  /** The error number for a failed disk. */
  readonly wireError: (error: unknown) => WireError;
  /** Called once, when nothing of this connection is under way any more. */
  readonly closed: () => void;
}

/** Serves one client until it leaves. Requests are taken up in order and answered as they end. */
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
  #payloadBytes = 0;
  /** No more is taken from the client: it left, broke the protocol, or the socket is gone. */
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
    // A client that went away is no fault of the service; "close" follows.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#ending = true;
      clearTimeout(this.#handshakeTimer);
      this.#finish();
    });
    this.#send(greeting());
  }

  /** Takes up what has arrived, until a limit is reached; what ends a request or drains replies calls again. */
  #proceed(): void {
    const socket = this.#socket;
    socket.cork();
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
    // All replies of this turn leave in one system call.
    process.nextTick(() => socket.uncork());
  }

  #isFull(): boolean {
    return (
      this.#requests >= NBD_REQUESTS_IN_FLIGHT ||
      this.#payloadBytes >= NBD_PAYLOAD_IN_FLIGHT_BYTES ||
      this.#socket.writableLength >= NBD_REPLIES_WAITING_BYTES
    );
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
      case "oversized":
        return this.#sendError(event.request, WIRE_ERROR.invalid);
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

  #perform(disk: NbdDisk, request: NbdRequest): void {
    const { offsetBytes, lengthBytes } = request;
    const command = checkCommand(request, disk.sizeBytes);
    const done = (): void => this.#send(simpleReply(request.cookie, WIRE_ERROR.none));
    switch (command.kind) {
      case "read":
        return this.#answer(
          request,
          () => (lengthBytes === 0 ? Buffer.alloc(0) : disk.read(offsetBytes, lengthBytes)),
          (data) => this.#sendRead(request, data),
        );
      case "write":
        return this.#answer<void>(request, () => disk.write(offsetBytes, request.data, command.fua), done);
      case "zero":
        return this.#answer<void>(request, () => disk.zero(offsetBytes, lengthBytes, command.fua), done);
      case "flush":
        return this.#answer<void>(request, () => disk.flush(), done);
      case "nothing":
        return command.durable ? this.#answer<void>(request, () => disk.flush(), done) : done();
      case "refuse":
        return this.#sendError(request, command.error);
      case "disconnect":
        return this.#end();
    }
  }

  #answer<Answer>(request: NbdRequest, run: () => Answer | Promise<Answer>, reply: (answer: Answer) => void): void {
    try {
      const result = run();
      if (result instanceof Promise) void this.#answerLater(request, result, reply);
      else reply(result);
    } catch (error) {
      this.#sendError(request, this.#options.wireError(error));
    }
  }

  async #answerLater<Answer>(request: NbdRequest, work: Promise<Answer>, reply: (answer: Answer) => void): Promise<void> {
    this.#requests += 1;
    this.#payloadBytes += request.data.length;
    try {
      reply(await work);
    } catch (error) {
      this.#sendError(request, this.#options.wireError(error));
    }
    this.#requests -= 1;
    this.#payloadBytes -= request.data.length;
    if (this.#ending && this.#requests === 0) this.#socket.destroySoon();
    this.#finish();
    this.#proceed();
  }

  #sendRead(request: NbdRequest, data: Buffer): void {
    const { cookie, offsetBytes } = request;
    const { structuredReplies } = this.#negotiation;
    if (data.length === 0) this.#send(emptyReadReply(cookie, structuredReplies));
    else this.#send(readReplyHeader(cookie, offsetBytes, data.length, structuredReplies), data);
  }

  #sendError(request: NbdRequest, error: WireError): void {
    const { structuredReplies } = this.#negotiation;
    if (request.type === COMMAND.read) this.#send(readErrorReply(request.cookie, error, structuredReplies));
    else this.#send(simpleReply(request.cookie, error));
  }

  #send(...parts: readonly Buffer[]): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    for (const part of parts) this.#socket.write(part);
  }

  /** The client says no more: what is under way is answered, then the connection goes. */
  #end(): void {
    this.#ending = true;
    this.#socket.resume();
    if (this.#requests === 0) this.#socket.destroySoon();
  }

  #finish(): void {
    if (this.#requests > 0 || this.#closed || !this.#socket.destroyed) return;
    this.#closed = true;
    this.#options.closed();
  }
}
