import HTTPServer

/// What a client prefers (RFC 7240): `Prefer: respond-async, wait=10`. Preferences that are not known, or not valid, are
/// ignored.
struct Preferences: Sendable, Hashable {
    private(set) var isAsynchronous = false
    /// Seconds.
    private(set) var wait: Int?

    init(_ head: RequestHead) {
        for value in head.fields(named: "prefer") {
            for part in value.split(separator: ",") {
                // Parameters of a preference are ignored.
                let words = part.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1).map { word in
                    word.filter { $0 != " " && $0 != "\t" && $0 != "\"" }.lowercased()
                }
                switch words.first {
                case "respond-async" where words.count == 1: isAsynchronous = true
                case "wait" where words.count == 2 && wait == nil && words[1].utf8.count <= 6:
                    // The first one counts (RFC 7240, section 2).
                    if let seconds = Int(words[1]), seconds >= 0 { wait = seconds }
                default: break
                }
            }
        }
    }

    /// Milliseconds that the answer may take before it says only that the jobs are in the queue; nil: it waits for the
    /// results. A job that its own fields defer is not waited for.
    ///
    func acceptedAfterMs(isDeferred: Bool, deadlineMs: Int) -> Int? {
        if let wait { return min(wait * 1_000, deadlineMs) }
        return isAsynchronous || isDeferred ? 0 : nil
    }

    /// `Preference-Applied`; nil where nothing was preferred.
    func applied(deadlineMs: Int) -> String? {
        let parts =
            (isAsynchronous ? ["respond-async"] : []) + (wait.map { ["wait=\(min($0, deadlineMs / 1_000))"] } ?? [])
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}
