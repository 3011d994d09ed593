/// The application of a server. Its functions are called on the threads of the server and must not block.
package protocol RequestHandler: Sendable {
    /// Decides about a request whose head is complete: an answer that the head alone allows comes without the body.
    func admit(_ head: RequestHead) -> Admission

    /// Takes a complete request. The answer can come later and from any thread.
    func handle(_ request: Request, _ responder: Responder)

    /// The answer to a request with a fault, in the form that the client of this target expects.
    func response(to fault: RequestFault, _ context: FaultContext) -> Response

    /// All requests that arrived together have been handed over: work that was gathered can begin.
    func burstEnded()
}

extension RequestHandler {
    package func admit(_ head: RequestHead) -> Admission { .read(bodyBytesMax: nil) }

    package func response(to fault: RequestFault, _ context: FaultContext) -> Response {
        .text(fault.status, fault.reason)
    }

    package func burstEnded() {}
}

/// How a client went away before it got its answer.
package enum Departure: Sendable {
    /// It closed its sending side. It may still read: the answer is sent.
    case finishedSending
    /// The connection is gone. The answer cannot be delivered.
    case disconnected
    /// It waits, and the server shuts down. Streams should end.
    case shuttingDown
}
