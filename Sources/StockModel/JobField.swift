/// The fields of a job that a producer may set, by their names in the table, in CSV headers and in JSON.
///
/// `definition` is the one table from which CSV headers, JSON keys, COPY columns, SQL arguments, options and the
/// reference page are made. Defaults are those of a `JobRequest`.
public enum JobField: String, CaseIterable, Sendable {
    case storeID = "store_id"
    case itemID = "item_id"
    case locationID = "location_id"
    case quantity
    case action
    case onInsufficient = "on_insufficient"
    case groupID = "group_id"
    case priority
    case runAt = "run_at"
    case expiresAt = "expires_at"
    case expectedAvailable = "expected_available"
    case orderingKey = "ordering_key"
    case notify
    case maxAttempts = "max_attempts"
    case reason
    case reference
    case idempotencyKey = "idempotency_key"
    case countedAt = "counted_at"
    case actor
    case occurredAt = "occurred_at"
    case metadata

    /// The field's row of the table.
    public var definition: FieldDefinition {
        switch self {
        case .storeID: field(.id(bytesMax: 200), .text, isRequired: true, help: "the item's store")
        case .itemID:
            field(.id(bytesMax: 200), .text, isRequired: true, listArgument: "item_ids", help: "the item")
        case .locationID:
            field(
                .id(bytesMax: 200), .text, option: "location", listArgument: "location_ids",
                help: "the item's location")
        case .quantity:
            field(
                .wholeNumber(Quantity.range), .bigint, isRequired: true, listArgument: "quantities",
                help: "whole units; below 0 to take stock away")
        case .action:
            field(
                .choice(of: StockAction.self), .text, option: "action", listArgument: "actions",
                help: "what to do with the stock")
        case .onInsufficient:
            field(
                .choice(of: InsufficientStockPolicy.self), .text, option: "on-insufficient",
                listArgument: "on_insufficients", help: "what to do when too little is available")
        case .groupID:
            field(
                .id(bytesMax: 200), .text, option: "group",
                help: "jobs of one group and one transaction are applied all together or not at all")
        case .priority:
            field(
                .wholeNumber(1...Int64(JobRequest.priorityMax)), .integer, option: "priority",
                help: "1 is first, 4 is last")
        case .runAt:
            field(
                .time, .timestamptz, option: "run-at", isKeptInResult: false,
                help: "not before this time; a group begins at the earliest time of its lines")
        case .expiresAt:
            field(.time, .timestamptz, option: "expires-at", help: "reject the job as expired after this time")
        case .expectedAvailable:
            field(
                .wholeNumber(Quantity.range), .bigint, option: "expected-available",
                listArgument: "expected_availables",
                help: "reject the job as stale unless exactly this much is available")
        case .orderingKey:
            field(
                .id(bytesMax: 200), .text, option: "ordering-key",
                help: "jobs with the same key are applied in order; without one the store is the key")
        case .notify:
            field(
                .flag, .boolean, option: "no-notify", listArgument: "notifies",
                help: "do not create a low-stock notification for this job")
        case .maxAttempts:
            field(
                .wholeNumber(1...1_000), .integer, option: "max-attempts",
                help: "attempts before the job ends as failed")
        case .reason:
            field(
                .text(bytesMax: 2_000), .text, option: "reason", listArgument: "reasons", help: "kept in the result")
        case .reference:
            field(
                .text(bytesMax: 2_000), .text, option: "reference", listArgument: "references",
                help: "kept in the result, for instance an order's number")
        case .idempotencyKey:
            field(
                .id(bytesMax: 200), .text, option: "idempotency-key", listArgument: "idempotency_keys",
                help: "of several jobs of a store with this key, one takes effect")
        case .countedAt:
            field(
                .time, .timestamptz, option: "counted-at", listArgument: "counted_ats",
                help: "of a stock count: when it was taken; jobs of a later moment change the counted stock")
        case .actor:
            field(
                .text(bytesMax: 200), .text, option: "actor", listArgument: "actors",
                help: "who caused the job; kept in the result")
        case .occurredAt:
            field(
                .time, .timestamptz, option: "occurred-at", listArgument: "occurred_ats",
                help: "when it happened, if that was before the job was enqueued; kept in the result")
        case .metadata:
            field(
                .object(bytesMax: 10_000), .jsonb, option: "metadata", listArgument: "metadatas",
                help: "a JSON object, kept in the result")
        }
    }

    private func field(
        _ kind: FieldKind, _ sqlType: FieldSQLType, isRequired: Bool = false, option: String? = nil,
        listArgument: String? = nil, isKeptInResult: Bool = true, help: String
    ) -> FieldDefinition {
        FieldDefinition(
            rawValue, kind, sqlType, isRequired: isRequired, option: option, listArgument: listArgument,
            isKeptInResult: isKeptInResult, help: help)
    }

    /// The rows of the table, in the order of `allCases`.
    package static let definitions = allCases.map(\.definition)

    package static let limits = allCases.map { (field: $0, limits: FieldLimits($0.definition.kind)) }

    /// Whether a job without it is invalid.
    public var isRequired: Bool { definition.isRequired }

    package static let required = allCases.filter(\.isRequired)

    /// The value of a job for which the producer gives none; `null` for NULL, and for a required field.
    package var defaultValue: FieldValue {
        isRequired ? .null : JobRequest(store: "", item: "", quantity: 0).value(of: self)
    }

    /// The default as help and the reference page show it; nil for none.
    public var defaultText: String? {
        switch defaultValue {
        case .text(let text): text
        case .integer(let number): String(number)
        case .flag(let flag): String(flag)
        case .null, .time: nil
        }
    }

    /// The fields that the result of a job keeps, as a list of SQL columns.
    package static let resultColumns = definitions.filter(\.isKeptInResult).map(\.name).joined(separator: ", ")

    /// The names of all fields, for messages.
    public static let list = allCases.map(\.rawValue).joined(separator: ", ")
}
