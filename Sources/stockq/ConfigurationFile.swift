import CommandLineKit
import Foundation
import PrivateCluster
import StockGatewayExecution
import StockQueue

/// The configuration file, and the names that it and the environment can have.
enum ConfigurationFile {
    static let standardPath = "/etc/stockq/stockq.conf"

    /// Every option that is configurable, in the order of the commands.
    static let options: [any Parameter] = {
        var options: [any Parameter] = []
        for option in Main.program.commands.flatMap({ $0.options + $0.globalOptions })
        where option.info.isConfigurable && !options.contains(where: { $0.info.name == option.info.name }) {
            options.append(option)
        }
        return options
    }()

    /// The names of these, which settings can have too.
    static var optionNames: Set<String> { Set(options.map(\.info.name)) }

    /// Variables that belong to no setting: the file's own, and that of a process that ends with its parent.
    private static let otherVariables: Set = ["STOCKQ_CONFIG", ProcessGuard.markName]

    private static var known: Set<String> {
        optionNames.union(WorkerSettings.all.map(\.name)).union(GatewaySettings.all.map(\.name))
    }

    /// What the environment and the file say.
    static func load(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(Failure) -> Configuration {
        let path = environment["STOCKQ_CONFIG"]
        // Without the variable the file need not exist.
        if path == nil && !FileManager.default.fileExists(atPath: standardPath) {
            return try Configuration(environment: environment, known: known, otherVariables: otherVariables)
        }
        let name = path ?? standardPath
        guard let text = try? String(contentsOfFile: name, encoding: .utf8) else {
            throw Failure("cannot read the configuration file \(name)")
        }
        return try Configuration(
            environment: environment, file: (name, text), known: known, otherVariables: otherVariables)
    }
}
