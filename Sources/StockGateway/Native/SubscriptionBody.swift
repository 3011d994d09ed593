import StockFormats
import StockModel

/// The bodies that have subscriptions. Each channel has members of its own.
enum SubscriptionBody {
    static func read(_ body: JSONValue) throws(Problem) -> SubscriptionRequest {
        guard case .object(let members) = body else {
            throw Problem(Problem.Fault(.pointer(""), "the body must be an object"))
        }
        guard case .string(let name)? = body["channel"], let channel = SubscriptionRequest.Channel(rawValue: name)
        else {
            let known = SubscriptionRequest.Channel.allCases.map(\.rawValue).joined(separator: ", ")
            throw FieldValues.fault("", "channel", "channel must be one of \(known)")
        }
        var request = SubscriptionRequest(channel, target: "", events: try events(body["events"], channel))
        let fields = fields(of: channel)
        try FieldValues.read(.object(members.filter { $0.key != "events" }), fields, besides: ["events"], at: "") {
            request.set(fields[$0].name, $1)
        }
        for (field, text) in [
            (target(of: channel), request.target), (digestAt, request.digestAt), (timeZone, request.timeZone),
        ] {
            guard let text, !field.isMatch(text) else { continue }
            throw FieldValues.fault("", field.definition.name, "\(field.definition.name) must be \(field.rule)")
        }
        if channel == .mail { try completeDigest(&request) }
        return request
    }

    private static func events(
        _ value: JSONValue?, _ channel: SubscriptionRequest.Channel
    ) throws(Problem) -> [SubscriptionEvent] {
        let known = events(of: channel)
        switch value {
        case nil, .null?: return SubscriptionEvent.alerts
        case .array(let elements)? where (1...known.count).contains(elements.count):
            var chosen: [SubscriptionEvent] = []
            for (index, element) in elements.enumerated() {
                guard case .string(let name) = element, let event = known.first(where: { $0.rawValue == name }) else {
                    let names = known.map(\.rawValue).joined(separator: ", ")
                    throw FieldValues.fault("/events", "\(index)", "an event of \(channel) is one of \(names)")
                }
                if !chosen.contains(event) { chosen.append(event) }
            }
            return chosen
        default: throw FieldValues.fault("", "events", "events must be an array of 1 to \(known.count) events")
        }
    }

    /// A mail is sent once a day, or for the notifications of a span of time.
    private static func completeDigest(_ request: inout SubscriptionRequest) throws(Problem) {
        if request.digestAt == nil {
            if request.timeZone != nil {
                throw conflict("time_zone", "time_zone is that of digest_at, which is missing")
            }
            request.digestWindowSeconds = request.digestWindowSeconds ?? digestWindowSeconds
        } else {
            if request.digestWindowSeconds != nil {
                throw conflict("digest_window_seconds", "digest_window_seconds and digest_at exclude each other")
            }
            request.timeZone = request.timeZone ?? "UTC"
        }
    }

    private static func conflict(_ field: String, _ detail: String) -> Problem {
        var problem = Problem(.conflictingFields, "\(detail). Nothing was changed.")
        problem.faults = [Problem.Fault(.pointer("/\(field)"), detail)]
        return problem
    }

    // MARK: fields

    static let change: [FieldDefinition] = [
        .init("enabled", .flag, .boolean, isRequired: true, help: "Whether messages are sent.")
    ]

    /// Those of a channel, without `events`, which is an array.
    static func fields(of channel: SubscriptionRequest.Channel) -> [FieldDefinition] {
        let common: [FieldDefinition] = [
            .init("channel", .choice([channel.rawValue]), .text, isRequired: true, help: "How messages are sent."),
            target(of: channel).definition,
            .init("item_prefix", .id(bytesMax: 200), .text, help: "Only items whose ids begin with this."),
            .init("location_prefix", .id(bytesMax: 200), .text, help: "Only locations whose ids begin with this."),
        ]
        if channel == .webhook { return common }
        return common + [
            .init(
                "digest_window_seconds", .wholeNumber(60...86_400), .bigint,
                help: "Notifications within this time are one message; \(digestWindowSeconds) without digest_at."),
            digestAt.definition, timeZone.definition,
        ]
    }

    static func events(of channel: SubscriptionRequest.Channel) -> [SubscriptionEvent] {
        channel == .webhook ? SubscriptionEvent.allCases : SubscriptionEvent.alerts
    }

    private static let digestWindowSeconds: Int64 = 300

    /// A text that has to match a pattern, which is in the document too.
    struct PatternField: Sendable {
        var definition: FieldDefinition
        /// A regular expression of ASCII characters for the whole text.
        var pattern: String
        /// Says what the text must be.
        var rule: String

        func isMatch(_ text: String) -> Bool {
            // Characters are compared by their canonical equivalence, and the Kelvin sign is a K.
            guard text.utf8.allSatisfy({ $0 < 0x80 }) else { return false }
            return (try? Regex(pattern).wholeMatch(in: text)) ?? nil != nil
        }
    }

    /// The patterned fields of a channel.
    static func patternFields(of channel: SubscriptionRequest.Channel) -> [PatternField] {
        channel == .webhook ? [target(of: channel)] : [target(of: channel), digestAt, timeZone]
    }

    private static func target(of channel: SubscriptionRequest.Channel) -> PatternField {
        switch channel {
        case .webhook:
            PatternField(
                definition: .init(
                    "target", .text(bytesMax: 2_000), .text, isRequired: true,
                    help: "The URL. A host with a private address is refused when a message is sent."),
                pattern: "^https?://[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?"
                    + "([/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]{0,1700})?$",
                rule: "a URL of https or http, with the name of a host, in ASCII and without a fragment")
        case .mail:
            PatternField(
                definition: .init(
                    "target", .text(bytesMax: 320), .text, isRequired: true, help: "The mail address."),
                // As MailMessage.isAddress has it.
                pattern: "^[!#-'*+./0-9=?A-Z^-~][!#-'*+./0-9=?A-Z^-~-]{0,63}@[!#-'*+./0-9=?A-Z^-~-]{1,255}$",
                rule: "one address like owner@example.com")
        }
    }

    private static let digestAt = PatternField(
        definition: .init(
            "digest_at", .text(bytesMax: 5), .text,
            help: "One message a day at this local time, with a list of all that is low or out."),
        pattern: "^([01][0-9]|2[0-3]):[0-5][0-9]$", rule: "a time of day like 08:00")

    private static let timeZone = PatternField(
        definition: .init(
            "time_zone", .text(bytesMax: 64), .text,
            help: "The time zone of digest_at, by its name in the IANA database; UTC without one."),
        pattern: "^[A-Za-z][A-Za-z0-9_+/-]{0,63}$", rule: "the name of a time zone like Europe/Berlin")
}

extension SubscriptionRequest {
    /// - Parameter field: a name of `SubscriptionBody.fields(of:)`.
    fileprivate mutating func set(_ field: String, _ value: FieldValue) {
        switch (field, value) {
        case ("channel", _): break
        case ("target", .text(let text)): target = text
        case ("item_prefix", .text(let text)): itemPrefix = text
        case ("location_prefix", .text(let text)): locationPrefix = text
        case ("digest_window_seconds", .integer(let number)): digestWindowSeconds = number
        case ("digest_at", .text(let text)): digestAt = text
        case ("time_zone", .text(let text)): timeZone = text
        default: preconditionFailure("no such field")
        }
    }
}
