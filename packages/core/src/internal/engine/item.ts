/**
 * What a round pulls: files and results of the list, or uploads that failed in the round before.
 */
import * as Upload from "../../Upload.js"
import type { UploadFile } from "../../UploadFile.js"
import * as UploadList from "../../UploadList.js"
import * as ListItem from "./listItem.js"

export type Item = UploadList.Item | Upload.Upload

export const decode = (item: Item): Item => item instanceof Upload.Upload ? item : ListItem.decode(item)

export const isUpload = (item: Item): item is UploadFile | Upload.Upload =>
  item instanceof Upload.Upload || UploadList.isFile(item)
