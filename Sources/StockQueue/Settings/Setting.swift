import StockModel
import StockQueuePostgres

/// Settings of which each has a description.
public protocol DescribedSettings: Sendable {
    /// The defaults.
    init()

    /// Every setting, in the order of its reference page.
    static var all: [SettingDescription<Self>] { get }
}

/// The description of one setting of a worker process.
public typealias Setting = SettingDescription<WorkerSettings>

/// The description of one setting: from it come the parsing of `--set` and of the environment, `--show-settings`, and
/// the reference page.
public struct SettingDescription<Settings: DescribedSettings>: Sendable {
    /// The kinds of values, each with its property and its range.
    enum Value: Sendable {
        case count(any WritableKeyPath<Settings, Int> & Sendable, ClosedRange<Int>)
        case duration(any WritableKeyPath<Settings, Duration> & Sendable, ClosedRange<Duration>)
        case flag(any WritableKeyPath<Settings, Bool> & Sendable)
        case text(any WritableKeyPath<Settings, String> & Sendable)
    }

    /// The name for `--set NAME=VALUE`, that of the property.
    public let name: String
    /// A sentence that says what the setting bounds.
    public let help: String
    let value: Value

    package init(
        _ name: String, _ property: any WritableKeyPath<Settings, Int> & Sendable, _ range: ClosedRange<Int>,
        _ help: String
    ) {
        self.name = name
        self.help = help
        value = .count(property, range)
    }

    package init(
        _ name: String, _ property: any WritableKeyPath<Settings, Duration> & Sendable,
        _ range: ClosedRange<Duration>, _ help: String
    ) {
        self.name = name
        self.help = help
        value = .duration(property, range)
    }

    package init(_ name: String, _ property: any WritableKeyPath<Settings, Bool> & Sendable, _ help: String) {
        self.name = name
        self.help = help
        value = .flag(property)
    }

    init(_ name: String, _ property: any WritableKeyPath<Settings, String> & Sendable, _ help: String) {
        self.name = name
        self.help = help
        value = .text(property)
    }

    /// The environment variable that changes the setting: `STOCKQ_LOCK_TIMEOUT` for `lockTimeout`.
    public var environmentName: String {
        var variable = "STOCKQ_"
        var last: Character = "A"
        for character in name {
            // Capitals that follow one another are one word.
            variable += (character.isUppercase && !last.isUppercase ? "_" : "") + character.uppercased()
            last = character
        }
        return variable
    }

    /// What values the setting takes, for help and messages.
    public var allowed: String {
        switch value {
        case .count(_, let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .duration(_, let range):
            "a duration from \(range.lowerBound.text) to \(range.upperBound.text), such as 200ms, 5s, 15m, 24h or 7d"
        case .flag: "true or false"
        case .text: "a text without control characters"
        }
    }

    /// The default, as `--set` takes it.
    public var defaultText: String { text(in: Settings()) }

    /// The present value, as `--set` takes it.
    public func text(in settings: Settings) -> String {
        switch value {
        case .count(let property, _): "\(settings[keyPath: property])"
        case .duration(let property, _): settings[keyPath: property].text
        case .flag(let property): "\(settings[keyPath: property])"
        case .text(let property): settings[keyPath: property]
        }
    }

    /// Changes the setting.
    ///
    /// - Throws: `ValidationError` for a text that is none of the allowed values.
    public func set(_ text: String, in settings: inout Settings) throws(ValidationError) {
        switch value {
        case .count(let property, let range):
            guard let number = Int(text), range.contains(number) else { throw wrong(text) }
            settings[keyPath: property] = number
        case .duration(let property, let range):
            guard let duration = Duration(text: text), range.contains(duration) else { throw wrong(text) }
            settings[keyPath: property] = duration
        case .flag(let property):
            guard let flag = Bool(text) else { throw wrong(text) }
            settings[keyPath: property] = flag
        case .text(let property):
            guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { throw wrong(text) }
            settings[keyPath: property] = text
        }
    }

    private func wrong(_ text: String) -> ValidationError {
        ValidationError(
            "\(name) takes \(allowed), not '\(ValidationError.shown(text.utf8))'", code: .outOfRange, field: name)
    }
}

extension DescribedSettings {
    /// Changes one setting by its name.
    ///
    /// - Throws: `ValidationError` for an unknown name and for a text that is none of the allowed values.
    public mutating func set(_ name: String, to text: String) throws(ValidationError) {
        guard let setting = Self.all.first(where: { $0.name == name }) else {
            let known = Self.all.map(\.name).joined(separator: ", ")
            throw ValidationError(
                "there is no setting \(ValidationError.shown(name.utf8)); known are \(known)", code: .unknownField,
                field: name)
        }
        try setting.set(text, in: &self)
    }

    /// Changes the settings whose variables are in the environment.
    ///
    /// - Throws: `ValidationError` that names the variable.
    public mutating func apply(environment: [String: String]) throws(ValidationError) {
        for setting in Self.all {
            guard let text = environment[setting.environmentName] else { continue }
            do {
                try setting.set(text, in: &self)
            } catch {
                throw ValidationError(
                    "\(setting.environmentName): \(error.message)", code: error.code, field: setting.name)
            }
        }
    }
}

extension WorkerSettings: DescribedSettings {
    /// Every setting, in the order of the reference page.
    public static let all: [Setting] = [
        Setting("workers", \.workers, 1...64, "threads that run batches, each with a connection of its own"),
        Setting("batchJobsMax", \.batchJobsMax, 1...100_000, "the most jobs that a batch claims"),
        Setting("groupLinesMax", \.groupLinesMax, 1...100_000, "the most lines of a group; a larger group is rejected"),
        Setting(
            "batchDurationMax", \.batchDurationMax, .milliseconds(1)...(.minutes(1)),
            "how long a batch should keep its lane and its items locked"),
        Setting(
            "turnDurationMax", \.turnDurationMax, .milliseconds(1)...(.minutes(1)),
            "how long a batch should take in a lane that stores with little work share"),
        Setting(
            "lockTimeout", \.lockTimeout, .milliseconds(1)...(.minutes(1)),
            "how long a batch waits for an item that another transaction has locked"),
        Setting(
            "waitDurationMax", \.waitDurationMax, .seconds(1)...(.days(3_650)),
            "how long a job without expires_at waits for stock"),
        Setting(
            "promoteWaitingJobsMax", \.promoteWaitingJobsMax, 1...100_000,
            "the most waiting jobs of an item that one statement makes ready"),
        Setting(
            "promoteDueJobsMax", \.promoteDueJobsMax, 1...1_000_000,
            "the most due jobs that one statement makes ready"),
        Setting(
            "feedHints", \.feedHints, "send NOTIFY with each batch, so that readers of the feeds need not poll often"),
        Setting(
            "pollIntervalMax", \.pollIntervalMax, .milliseconds(1)...(.minutes(1)),
            "the longest time between two polls"),
        Setting(
            "awakeAfter", \.awakeAfter, .zero...(.minutes(1)),
            "how long work must be steady before producers may leave out wake-ups"),
        Setting(
            "statementTimeout", \.statementTimeout, .milliseconds(100)...(.hours(1)),
            "after this the server cancels a statement"),
        Setting(
            "idleInTransactionTimeout", \.idleInTransactionTimeout, .milliseconds(100)...(.hours(1)),
            "after this the server terminates a session that holds locks and does nothing"),
        Setting(
            "callTimeout", \.callTimeout, .milliseconds(100)...(.hours(1)),
            "after this the client gives a call up, COMMIT included"),
        Setting(
            "stopTimeout", \.stopTimeout, .milliseconds(100)...(.minutes(10)),
            "how long a graceful shutdown may take before the batches are rolled back"),
        Setting(
            "connectTimeout", \.connectTimeout, .seconds(2)...(.minutes(10)),
            "how long one host may take to accept a connection"),
        Setting(
            "keepaliveIdle", \.keepaliveIdle, .seconds(1)...(.hours(1)),
            "silence on a TCP connection before the first keepalive probe"),
        Setting(
            "keepaliveInterval", \.keepaliveInterval, .seconds(1)...(.hours(1)),
            "time between two keepalive probes"),
        Setting(
            "keepaliveProbes", \.keepaliveProbes, 1...100,
            "unanswered keepalive probes after which a connection is lost"),
        Setting(
            "unacknowledgedTimeout", \.unacknowledgedTimeout, .milliseconds(100)...(.hours(1)),
            "how long sent data may stay unacknowledged before a TCP connection is lost"),
        Setting(
            "reconnectPauseMin", \.reconnectPauseMin, .milliseconds(1)...(.minutes(1)),
            "the first pause before connecting again"),
        Setting(
            "reconnectPauseMax", \.reconnectPauseMax, .milliseconds(1)...(.minutes(10)),
            "the longest pause before connecting again"),
        Setting(
            "startTimeout", \.startTimeout, .zero...(.days(1)),
            "how long a process that starts before its database waits for it"),
        Setting(
            "requireDurability", \.requireDurability,
            "do not start on a server that may lose commits in a power cut"),
        Setting(
            "checkInterval", \.checkInterval, .zero...(.hours(1)),
            "time between two checks of changed items; 0ms turns the ledger checker off"),
        Setting("checkItemsMax", \.checkItemsMax, 1...10_000, "the most items of one check"),
        Setting(
            "checkChangesMax", \.checkChangesMax, 1...1_000,
            "the most changes of an item that one check follows back"),
        Setting(
            "stopOnViolation", \.stopOnViolation, "stop the workers when the ledger checker finds a violation"),
        Setting("deliver", \.deliver, "deliver notifications to subscriptions in this process"),
        Setting(
            "deliveriesAtOnce", \.deliveriesAtOnce, 1...10_000, "the most messages that are sent at the same time"),
        Setting(
            "deliveriesAtOnceEach", \.deliveriesAtOnceEach, 1...1_000,
            "the most messages that are sent to one subscription at the same time"),
        Setting(
            "deliveryTimeout", \.deliveryTimeout, .milliseconds(100)...(.minutes(5)),
            "how long a receiver may take to answer, and a program to end"),
        Setting(
            "deliveryPollInterval", \.deliveryPollInterval, .milliseconds(10)...(.minutes(1)),
            "the longest time between two looks for new notifications; without a subscription up to 4s"),
        Setting(
            "disableAfter", \.disableAfter, .seconds(1)...(.days(365)),
            "a subscription of which every attempt has failed for this long is disabled"),
        Setting(
            "keepDeliveries", \.keepDeliveries, .seconds(1)...(.days(3_650)),
            "how long deliveries are kept after their end"),
        Setting(
            "allowPrivateTargets", \.allowPrivateTargets,
            "send webhooks to private, loopback and link-local addresses too"),
        Setting(
            "commandFolder", \.commandFolder, "the folder of the programs that subscriptions may run; empty for none"),
        Setting("sendmail", \.sendmail, "the program that sends mail, called with -t -i"),
        Setting("mailFrom", \.mailFrom, "the sender of mail; empty for the mailer's default"),
        Setting("dashboardURL", \.dashboardURL, "the link at the end of a mail; empty for none"),
        Setting(
            "maintenanceInterval", \.maintenanceInterval, .milliseconds(100)...(.hours(1)),
            "time between two rounds of maintenance"),
        Setting(
            "jobsPerPartition", \.jobsPerPartition, 1_000...1_000_000_000,
            "job ids that a partition of the results holds"),
        Setting(
            "partitionsAhead", \.partitionsAhead, 1...100,
            "partitions of the results kept ready ahead of the ids drawn"),
        Setting(
            "partitionSpan", \.partitionSpan, .minutes(1)...(.days(3_650)),
            "after this time results go to the next partition, whether the present one is full or not"),
        Setting(
            "keepResults", \.keepResults, .seconds(1)...(.days(36_500)), "how long results are kept"),
        Setting(
            "detachResults", \.detachResults,
            "make a partition of expired results a table of its own instead of dropping it"),
        Setting(
            "exportFolder", \.exportFolder,
            "the folder where expired results are written before they are dropped; empty for none"),
        Setting(
            "keepKeys", \.keepKeys, .seconds(1)...(.days(36_500)), "how long used idempotency keys are kept"),
        Setting(
            "keepNotifications", \.keepNotifications, .seconds(1)...(.days(36_500)),
            "how long notifications are kept"),
        Setting(
            "keepOperations", \.keepOperations, .seconds(1)...(.days(36_500)),
            "how long the records of what administrators did are kept"),
        Setting(
            "keepImports", \.keepImports, .seconds(1)...(.days(36_500)), "how long the records of imports are kept"),
    ]
}
