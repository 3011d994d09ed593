import CommandLineKit
import Foundation
import StockGatewayExecution
import StockQueue

/// The configuration file, and the names that it and the environment can have.
enum ConfigurationFile {
    static let standardPath = "/etc/stockq/stockq.conf"

    /// Every option that is configurable, in the order of the commands.
    static let options: [ParameterInfo] = {
        var options: [ParameterInfo] = []
        for info in Main.program.commands.flatMap({ ($0.options + $0.globalOptions).map(\.info) })
        where info.isConfigurable && !options.contains(where: { $0.name == info.name }) {
            options.append(info)
        }
        return options
    }()

    private static var known: Set<String> {
        Set(options.map(\.name) + WorkerSettings.all.map(\.name) + GatewaySettings.all.map(\.name))
    }

    /// What the environment and the file say.
    static func load(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(Failure) -> Configuration {
        let path = environment["STOCKQ_CONFIG"]
        // Without the variable the file need not exist.
        if path == nil && !FileManager.default.fileExists(atPath: standardPath) {
            return try Configuration(environment: environment, known: known)
        }
        let name = path ?? standardPath
        guard let text = try? String(contentsOfFile: name, encoding: .utf8) else {
            throw Failure("cannot read the configuration file \(name)")
        }
        return try Configuration(environment: environment, file: (name, text), known: known)
    }

    /// The variables that look like a setting and are none, each with what it may mean.
    static func unknownVariables(in environment: [String: String]) -> [String] {
        let variables = Set(known.map(Configuration.variable)).union(["STOCKQ_CONFIG"])
        return environment.keys.filter { $0.hasPrefix("STOCKQ_") && !variables.contains($0) }.sorted()
    }
}
