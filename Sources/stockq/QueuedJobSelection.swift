import CommandLineKit
import StockQueue

/// The queued jobs that an administrator names: ids, or a group or reference of a store.
enum QueuedJobSelection {
    static let jobs = JobIDs.argument(min: 0, help: "the ids of queued jobs")
    private static let group = Option("group", .text("GROUP"), help: "the jobs of this group of --store")
    private static let reference = Option(
        "reference", .text("REFERENCE"), help: "the jobs with this reference of --store")
    private static let store = Option("store", .text("STORE"), help: "the store of --group or --reference")

    static let options: [any Parameter] = [group, reference, store]

    static func selection(_ input: ParsedCommand) throws -> QueueAdmin.Selection {
        let words = input[jobs]
        switch (words.isEmpty, input[group], input[reference]) {
        case (false, nil, nil):
            if input.isGiven(store) {
                throw input.usageError("--store goes with --group or --reference, not with job ids")
            }
            return .jobs(try JobIDs.read(words, input))
        case (true, let group?, nil): return .group(store: try store(input), group)
        case (true, nil, let reference?): return .reference(store: try store(input), reference)
        default: throw input.usageError("name jobs by their ids, or by --group, or by --reference")
        }
    }

    private static func store(_ input: ParsedCommand) throws -> String {
        guard let store = input[store] else {
            throw input.usageError("a group or a reference belongs to a store: give --store")
        }
        return store
    }
}
