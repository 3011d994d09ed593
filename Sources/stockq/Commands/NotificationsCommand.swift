import CommandLineKit
import StockQueue

enum NotificationsCommand: Command {
    private static let feed = FeedOptions<NotificationCursor>(
        withoutStart: "the last --limit", limitText: "100, with --since and --after all", cursor: .cursor("1204-57"))

    private static let kind = Option(
        "kind", .choice("KIND", of: NotificationKind.allCases), help: "only notifications of this kind")
    private static let item = Option("item", .text("ITEM"), help: "only those of this item")

    static let spec = CommandSpec(
        "notifications", "Shows which items became low, ran out, or came back.",
        options: feed.all + [kind, item, RowTable.csv] + CSVForm.options, usesDatabase: true,
        examples: [
            .init("Show the last day's notifications.", "--since", "24h"),
            .init(
                "Show what ran out today in Berlin, for a spreadsheet.", "--since", "24h", "--store", "berlin",
                "--kind",
                "out_of_stock", "--csv"),
            .init("Follow new ones as JSON.", "--follow", "--json"),
            .init("Go on where another call ended.", "--after", "1204-57", "--follow"),
        ],
        notes: [
            "A reader that stores the cursor of the last line that it has processed misses no notification and gets none "
                + "twice, in whatever order transactions commit.",
            "Without --since and --after, --kind and --item look among the last "
                + "\(grouped(FeedListing<StockNotification, NotificationCursor>.searchedMax)) notifications.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        if input.isGiven(feed.since) && input.isGiven(feed.after) {
            throw input.usageError("give --since or --after, not both")
        }
        if input[feed.json] && input[RowTable.csv] { throw input.usageError("give --json or --csv, not both") }
        let form = try CSVForm(input, isCSV: input[RowTable.csv])
        let store = input[feed.store]
        var listing = FeedListing<StockNotification, NotificationCursor>(
            start: input[feed.after].map { .after($0) } ?? input[feed.since].map { .since($0) }
                ?? .newest { try $0.lastNotifications(limit: $1, store: store) },
            limit: input[feed.limit], follows: input[feed.follow], json: input[feed.json], store: store,
            line: line,
            follower: { NotificationFollower(inspector: $0, after: $1, store: store) },
            findCursor: { try $0.notificationCursor(secondsAgo: $1) })
        if input[RowTable.csv] { listing.csv = (csvColumns, form) }
        let (kind, item) = (input[kind], input[item])
        if kind != nil || item != nil {
            listing.isShown = { (kind == nil || $0.kind == kind) && (item == nil || $0.itemID == item) }
        }
        return try listing.run(input)
    }

    private static let csvColumns = [
        "notification_id", "created_at", "kind", "store_id", "item_id", "location_id", "available_before",
        "available_after", "low_stock_threshold", "job_id",
    ]

    private static func line(_ notification: StockNotification) -> String {
        var text = "\(Timestamp(notification.createdAt).shown)  \(notification.kind.rawValue.padding(toWidth: 13))  "
        text += "\(notification.storeID.printable)  \(notification.itemID.printable)"
        if notification.locationID != "main" { text += " at \(notification.locationID.printable)" }
        text += "  available \(grouped(notification.availableBefore)) → \(grouped(notification.availableAfter))"
        if let threshold = notification.lowStockThreshold { text += ", threshold \(grouped(threshold))" }
        return text + (notification.jobID.map { ", job \($0)" } ?? ", by a changed threshold")
    }
}
