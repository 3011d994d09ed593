import CommandLineKit
import StockQueue

enum ChangesCommand: Command {
    private static let feed = FeedOptions<ChangeCursor>(
        withoutStart: "the last hour", limitText: "all", cursor: .cursor("1204-57 or 1204-57-300"))

    static let spec = CommandSpec(
        "changes", "Shows every change of stock: the applied jobs, in the order in which they were applied.",
        options: feed.all, usesDatabase: true,
        examples: [
            .init("Show the last day's changes of a store.", "--store", "berlin", "--since", "24h"),
            .init("Follow new ones as JSON.", "--follow", "--json"),
            .init("Go on where another call ended.", "--after", "1204-57", "--follow"),
        ],
        notes: [
            "A reader that stores the cursor of the last line that it has processed misses no change and gets none twice, in "
                + "whatever order transactions commit."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        if input.isGiven(feed.since) && input.isGiven(feed.after) {
            throw input.usageError("give --since or --after, not both")
        }
        let store = input[feed.store]
        let listing = FeedListing<StockChange, ChangeCursor>(
            start: input[feed.after].map { .after($0) } ?? .since(input[feed.since] ?? .seconds(3_600)),
            limit: input[feed.limit], follows: input[feed.follow], json: input[feed.json], store: store,
            line: line,
            follower: { ChangeFollower(inspector: $0, after: $1, store: store) },
            findCursor: { try $0.changeCursor(secondsAgo: $1) })
        return try listing.run(input)
    }

    private static func line(_ change: StockChange) -> String {
        var text = "\(Timestamp(change.finishedAt).shown)  \(change.storeID.printable)  \(change.itemID.printable)"
        if change.locationID != "main" { text += " at \(change.locationID.printable)" }
        text += "  \(change.action.rawValue) \(grouped(change.quantity))"
        text += "  on hand \(grouped(change.before.onHand)) → \(grouped(change.after.onHand))"
        text += ", available \(grouped(change.before.available)) → \(grouped(change.after.available))"
        return text + ", version \(change.version), job \(change.jobID)"
    }
}
