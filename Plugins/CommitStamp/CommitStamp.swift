import Foundation
import PackagePlugin

/// Writes a Swift file with the commit that is being built, before every build.
///
/// The manifest knows the commit too (`Context.gitInformation`), but SwiftPM caches evaluated manifests, so that a
/// build after a commit would carry the commit before it.
@main
struct CommitStamp: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let output = context.pluginWorkDirectoryURL.appending(path: "generated")
        return [
            .prebuildCommand(
                displayName: "Stamp the commit", executable: URL(filePath: "/bin/sh"),
                arguments: [
                    target.directoryURL.appending(path: "stamp.sh").path(percentEncoded: false),
                    context.package.directoryURL.path(percentEncoded: false), output.path(percentEncoded: false),
                ],
                outputFilesDirectory: output)
        ]
    }
}
