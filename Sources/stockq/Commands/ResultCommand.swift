import CommandLineKit
import StockQueue
import StockQueuePostgres

enum ResultCommand: Command {
    private static let jobs = JobIDs.argument(min: 1, help: "the ids of jobs")
    private static let json = Flag(
        "json", help: "one JSON object a line: the result's row, or the queued job's with \"queued\": true")

    static let spec = CommandSpec(
        "result", "Shows the results of jobs.", arguments: [jobs], options: [json], usesDatabase: true,
        examples: [
            .init("Show the results of two jobs.", "123", "124"),
            .init("Show the results of an order.", "-", before: "stockq enqueue berlin mug -1 cup -1 --group o |"),
            .init("Show everything that a result has.", "123", "--json"),
        ],
        notes: ["Exit code 1 if a job is not known."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let jobs = try JobIDs.read(input[jobs], input)
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        var areAllKnown = true
        for job in jobs {
            if let text = try text(of: job, inspector, json: input[json]) {
                Terminal.print(text)
            } else {
                Terminal.note("stockq result: job \(job) is not known: never enqueued, or its result has expired")
                areAllKnown = false
            }
        }
        return areAllKnown ? .success : .failure
    }

    private static func text(of job: Int64, _ inspector: Inspector, json: Bool) throws -> String? {
        // A job may be finished between the question for its result and that for the queued job, so the result is read
        // twice.
        if let result = try inspector.result(of: job) { return try text(of: result, inspector, json: json) }
        if let queued = try inspector.job(job) {
            return json ? "{\"queued\":true," + queued.json.dropFirst() : queued.value.block
        }
        return try inspector.result(of: job).map { try text(of: $0, inspector, json: json) }
    }

    private static func text(of result: JSONRow<JobResult>, _ inspector: Inspector, json: Bool) throws -> String {
        if json { return result.json }
        let other = result.value.code == .unknownItem ? try otherLocations(of: result.value.key, inspector) : nil
        return result.value.block(noting: other)
    }

    /// Where an item is that is not at its location now, as far as this role may know.
    private static func otherLocations(of key: ItemKey, _ inspector: Inspector) throws -> String? {
        do {
            let locations = try inspector.locations(of: key)
            return locations.isEmpty || locations.contains(key.locationID)
                ? nil : "\(key.itemID.shownName) is at \(shortList(locations, separator: ", "))"
        } catch let error as PostgresError where error.sqlState == .insufficientPrivilege {
            return nil
        }
    }
}
