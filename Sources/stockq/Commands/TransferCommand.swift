import CommandLineKit
import StockModel
import StockQueue

enum TransferCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let quantity = Argument(.wholeNumber(1...Quantity.max, "QUANTITY"), help: "whole units")
    private static let from = Argument(.text("FROM"), help: "the location that gives")
    private static let to = Argument(.text("TO"), help: "the location that receives")

    private static let onInsufficient = Option(
        "on-insufficient", .choice("POLICY", of: [.reject, .allow, .wait]), default: InsufficientStockPolicy.reject,
        help: "what to do when FROM has too little")
    private static let create = Flag(
        "create", help: "create the item at TO, with the attributes that it has at FROM, if the store lacks it there")
    private static let json = Flag("json", help: "print one JSON object a job")

    static let spec = CommandSpec(
        "transfer", "Moves stock between two locations: a group of two jobs, applied both or not at all.",
        arguments: [store, item, quantity, from, to],
        options: [onInsufficient] + JobFieldOptions.parameters(for: fields) + [create] + WaitForResults.parameters
            + [json],
        usesDatabase: true,
        examples: [
            .init(
                "Bring four shirts from the main location to the shop floor.", "berlin", "shirt-m", "4", "main",
                "floor", "--idempotency-key", "transfer 17"),
            .init(
                "The same, where the shop floor never had the shirt, and show the results.", "berlin", "shirt-m", "4",
                "main", "floor", "--create", "--wait"),
        ],
        notes: [
            "The store must have the item at both locations, or both jobs are rejected. --create needs the role of an "
                + "administrator."
        ])

    private static let fields: [JobField] = [.idempotencyKey, .reason, .reference, .actor, .occurredAt, .metadata]

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var job = JobRequest(store: input[store], item: input[item], quantity: input[quantity])
        job.locationID = input[from]
        job.onInsufficient = input[onInsufficient]
        _ = JobFieldOptions.set(in: &job, input, fields: fields)
        let (connection, schema) = try Database.open(input)
        if input[create] { try createTarget(job, input[to], QueueAdmin(connection: connection, schema: schema)) }
        let receipts = try Producer(connection: connection, schema: schema).transfer(job, to: input[to])
        if receipts.contains(where: \.isDuplicate) {
            Terminal.note("the idempotency key was used before for the same transfer; nothing was enqueued")
        }
        let other = ItemKey(job.storeID, job.itemID, location: input[to])
        try UnknownItems.warn([job.key, other], connection, schema)
        let jobs = receipts.map(\.jobID)
        if let code = try WaitForResults.run(jobs, connection, schema, json: input[json], input) { return code }
        if input[json] {
            for receipt in receipts {
                Terminal.print(["job_id": .integer(receipt.jobID), "is_duplicate": .bool(receipt.isDuplicate)])
            }
        } else {
            Terminal.print(jobList(jobs))
        }
        return .success
    }

    private static func createTarget(_ job: JobRequest, _ location: String, _ admin: QueueAdmin) throws {
        let source = ItemKey(job.storeID, job.itemID, location: job.locationID)
        if try admin.copyItem(source, to: location) {
            Terminal.note("created \(job.itemID.shownName) at \(location.shownName)")
        }
    }
}
