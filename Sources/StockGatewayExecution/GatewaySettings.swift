import HTTPServer
import StockGateway
import StockQueue
import StockQueuePostgres

/// Every limit of a gateway. `stockq serve --set NAME=VALUE` or the environment changes one; `GatewaySettings.all`
/// describes them.
package struct GatewaySettings: Sendable {
    // MARK: requests

    /// The most bytes of a request line; then 414.
    package var requestLineBytesMax = 8_192
    /// The most bytes of all header lines; then 431.
    package var headerBytesMax = 16_384
    /// The most header lines; then 431.
    package var headersMax = 100
    /// The most bytes of the body of a call with several lines; then 413.
    package var bodyBytesMax = 1 << 20
    /// The most lines of a call, and requests of a batch; then 400.
    package var linesMax = 500
    /// How long the head of a request may take; then 408.
    package var headTimeout = Duration.seconds(10)
    /// How long the body of a request may take; then 408.
    package var bodyTimeout = Duration.seconds(30)

    // MARK: connections

    /// How long a connection stays open without a request; announced in `Keep-Alive`, so whole seconds count.
    package var idleTimeout = Duration.minutes(1)
    /// How long a client may read nothing of its answer before its connection is cut.
    package var writeTimeout = Duration.seconds(30)
    /// The most open connections; then 503, which the vendors' styles turn into 429.
    package var connectionsMax = 10_000
    /// The most requests under way; then the same.
    package var requestsMax = 10_000
    /// The most bytes of all bodies that are being read; then the same.
    package var bodiesBytesMax = 64 << 20
    /// Threads that serve connections.
    package var loops = 1
    /// Proxies in front of the gateway, each of which appends an address to `X-Forwarded-For`.
    package var proxies = 0

    // MARK: calls

    /// A call that is not decided by then is canceled. The most impatient client waits 20 s.
    package var deadline = Duration.seconds(15)
    /// The most calls that one transaction enqueues.
    package var callsPerCommitMax = 1_000
    /// The longest time between two polls for results of workers in other processes.
    package var resultPollMax = Duration.milliseconds(50)
    /// Connections for calls that only read.
    package var lookupConnections = 2
    /// The most requests to the native API that one token may make in a minute; then 429.
    package var requestsPerMinute = 600_000
    /// How long a request with the same `X-Ecwid-Api-Request-Id` gets the first answer.
    package var repeatWindow = Duration.minutes(3)
    /// How long a token is valid that a client gets for its secret.
    package var clientTokenLifetime = Duration.hours(1)
    /// Accept Ecwid's calls with `?token=`, which some of its clients need.
    package var acceptQueryTokens = true
    /// Workers of the process decide calls without the table of jobs where they can.
    package var decideAtOnce = true
    /// How long a stop waits for the answers under way.
    package var shutdownTimeout = Duration.seconds(10)

    package init() {}
}

extension GatewaySettings: DescribedSettings {
    package static let all: [SettingDescription<Self>] = [
        SettingDescription(
            "requestLineBytesMax", \.requestLineBytesMax, 256...65_536, "the most bytes of a request line; then 414"),
        SettingDescription(
            "headerBytesMax", \.headerBytesMax, 1_024...1_048_576, "the most bytes of all header lines; then 431"),
        SettingDescription("headersMax", \.headersMax, 10...10_000, "the most header lines; then 431"),
        SettingDescription(
            "bodyBytesMax", \.bodyBytesMax, 1_024...16_777_216,
            "the most bytes of the body of a call with several lines; then 413"),
        SettingDescription(
            "linesMax", \.linesMax, 1...10_000, "the most lines of a call, and requests of a batch; then 400"),
        SettingDescription(
            "headTimeout", \.headTimeout, .milliseconds(100)...(.minutes(10)),
            "how long a request's head may take; then 408"),
        SettingDescription(
            "bodyTimeout", \.bodyTimeout, .milliseconds(100)...(.minutes(10)),
            "how long a request's body may take; then 408"),
        SettingDescription(
            "idleTimeout", \.idleTimeout, .seconds(1)...(.hours(1)),
            "how long a connection stays open without a request, in whole seconds; announced in Keep-Alive"),
        SettingDescription(
            "writeTimeout", \.writeTimeout, .milliseconds(100)...(.minutes(10)),
            "how long a client may read nothing of its answer before its connection is cut"),
        SettingDescription(
            "connectionsMax", \.connectionsMax, 1...1_000_000, "the most open connections; then 503, or a vendor's 429"),
        SettingDescription(
            "requestsMax", \.requestsMax, 1...1_000_000,
            "the most requests under way; then 503, or a vendor's 429"),
        SettingDescription(
            "bodiesBytesMax", \.bodiesBytesMax, 1_048_576...(1 << 34),
            "the most bytes of all bodies that are being read; then 503, or a vendor's 429"),
        SettingDescription("loops", \.loops, 1...64, "threads that serve connections"),
        SettingDescription(
            "proxies", \.proxies, 0...10,
            "proxies in front of the gateway, each of which appends an address to X-Forwarded-For; 0 ignores the field"),
        SettingDescription(
            "deadline", \.deadline, .milliseconds(100)...(.seconds(18)),
            "a call that is not decided by then is canceled; the most impatient client waits 20s"),
        SettingDescription(
            "callsPerCommitMax", \.callsPerCommitMax, 1...10_000, "the most calls that one transaction enqueues"),
        SettingDescription(
            "resultPollMax", \.resultPollMax, .milliseconds(1)...(.seconds(5)),
            "the longest time between two polls for results of workers in other processes"),
        SettingDescription("lookupConnections", \.lookupConnections, 1...64, "connections for calls that only read"),
        SettingDescription(
            "requestsPerMinute", \.requestsPerMinute, 1...1_000_000_000,
            "the most requests to the native API that one token may make in a minute; then 429"),
        SettingDescription(
            "repeatWindow", \.repeatWindow, .seconds(1)...(.hours(1)),
            "how long a request with the same X-Ecwid-Api-Request-Id gets the first answer"),
        SettingDescription(
            "clientTokenLifetime", \.clientTokenLifetime, .seconds(10)...(.days(1)),
            "how long a token is valid that a client gets for its secret"),
        SettingDescription(
            "acceptQueryTokens", \.acceptQueryTokens,
            "accept Ecwid's calls with ?token=, which some of its clients need"),
        SettingDescription(
            "decideAtOnce", \.decideAtOnce,
            "workers of the process decide a vendor's call without the table of jobs where they can"),
        SettingDescription(
            "shutdownTimeout", \.shutdownTimeout, .seconds(2)...(.minutes(10)),
            "how long a stop waits for the answers under way"),
    ]

    // MARK: the parts

    /// What the HTTP server takes of them.
    package var server: ServerSettings {
        var settings = ServerSettings()
        settings.limits.requestLineBytesMax = requestLineBytesMax
        settings.limits.fieldBytesMax = headerBytesMax
        settings.limits.fieldsMax = headersMax
        settings.limits.bodyBytesMax = max(bodyBytesMax, settings.limits.bodyBytesMax)
        settings.headMs = headTimeout.milliseconds
        settings.bodyMs = bodyTimeout.milliseconds
        settings.idleMs = idleTimeout.milliseconds / 1_000 * 1_000
        settings.writeMs = writeTimeout.milliseconds
        settings.connectionsMax = connectionsMax
        settings.requestsMax = requestsMax
        settings.bodyBytesMax = bodiesBytesMax
        settings.loops = loops
        settings.proxies = proxies
        return settings
    }

    /// What the executor takes of them.
    package var executor: ExecutorSettings {
        var settings = ExecutorSettings()
        settings.callsMax = requestsMax
        settings.callsPerCommitMax = callsPerCommitMax
        settings.decidesAtOnce = decideAtOnce
        settings.pollMsMax = resultPollMax.milliseconds
        settings.lookupThreads = lookupConnections
        settings.requestsPerMinute = requestsPerMinute
        settings.repeatSeconds = repeatWindow.milliseconds / 1_000
        settings.tokenSeconds = clientTokenLifetime.milliseconds / 1_000
        return settings
    }

    /// What the vendors' calls take of them.
    package var vendors: VendorSettings {
        var settings = VendorSettings()
        settings.deadlineMs = deadline.milliseconds
        settings.acceptsEcwidQueryTokens = acceptQueryTokens
        settings.linesMax = linesMax
        settings.bodyBytesMax = bodyBytesMax
        return settings
    }
}
