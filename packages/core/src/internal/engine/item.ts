/**
 * What a round pulls: files and results of the list, or uploads that failed in the round before.
 */
import type { UploadFile } from "../../UploadFile.js"
import * as UploadList from "../../UploadList.js"
import { Upload } from "../upload/upload.js"
import * as ListItem from "./listItem.js"

export type Item = UploadList.Item | Upload

export const decode = (item: Item): Item => item instanceof Upload ? item : ListItem.decode(item)

export const isUpload = (item: Item): item is UploadFile | Upload => item instanceof Upload || UploadList.isFile(item)
