import CommandLineKit
import StockQueue

/// The queued jobs that a caller names: ids, or a group, a reference or a key of a store.
enum QueuedJobSelection {
    static let jobs = JobIDs.argument(min: 0, help: "the ids of queued jobs")
    private static let group = Option("group", .text("GROUP"), help: "the jobs of this group of --store")
    private static let reference = Option(
        "reference", .text("REFERENCE"), help: "the jobs with this reference of --store")
    private static let key = Option(
        "key", .text("KEY"), help: "the job with this idempotency key of --store, and its group")
    private static let store = Option("store", .text("STORE"), help: "the store of --group, --reference or --key")

    static let options: [any Parameter] = [group, reference, key, store]

    /// Whether any of the arguments and options is given.
    static func isGiven(_ input: ParsedCommand) -> Bool {
        !input[jobs].isEmpty || [group, reference, key, store].contains { input[$0] != nil }
    }

    static func selection(_ input: ParsedCommand) throws -> QueueAdmin.Selection {
        let words = input[jobs]
        switch (words.isEmpty, input[group], input[reference], input[key]) {
        case (false, nil, nil, nil):
            if input.isGiven(store) {
                throw input.usageError("--store goes with --group, --reference or --key, not with job ids")
            }
            return .jobs(try JobIDs.read(words, input))
        case (true, let group?, nil, nil): return .group(store: try store(input), group)
        case (true, nil, let reference?, nil): return .reference(store: try store(input), reference)
        case (true, nil, nil, let key?): return .key(store: try store(input), key)
        default: throw input.usageError("name jobs by their ids, or by --group, --reference or --key")
        }
    }

    private static func store(_ input: ParsedCommand) throws -> String {
        guard let store = input[store] else {
            throw input.usageError("a group, a reference or a key belongs to a store: give --store")
        }
        return store
    }
}
